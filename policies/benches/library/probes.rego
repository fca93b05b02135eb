package probes

violation contains {"msg": msg} if {
	some container in input.review.object.spec.containers
	some probe in input.parameters.probes
	not container[probe]
	msg := sprintf("container %s has no %s", [container.name, probe])
}
