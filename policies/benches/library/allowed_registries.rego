package allowed_registries

violation contains {"msg": msg} if {
	some container in containers
	not allowed(container.image)
	msg := sprintf("container %s: image %s comes from none of %v", [container.name, container.image, input.parameters.registries])
}

allowed(image) if {
	some registry in input.parameters.registries
	startswith(image, registry)
}

containers contains container if some container in input.review.object.spec.containers

containers contains container if some container in input.review.object.spec.initContainers
