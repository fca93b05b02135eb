package image_tags

violation contains {"msg": msg} if {
	some container in input.review.object.spec.containers
	tag := tag_of(container.image)
	tag in input.parameters.forbidden
	msg := sprintf("container %s: image tag %s is not allowed", [container.name, tag])
}

tag_of(image) := "latest" if not contains(image, ":")

tag_of(image) := tag if {
	contains(image, ":")
	parts := split(image, ":")
	tag := parts[count(parts) - 1]
}
