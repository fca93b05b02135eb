package container_limits

violation contains {"msg": msg} if {
	some container in input.review.object.spec.containers
	some resource in ["cpu", "memory"]
	not container.resources.limits[resource]
	msg := sprintf("container %s has no %s limit", [container.name, resource])
}

violation contains {"msg": msg} if {
	some container in input.review.object.spec.containers
	memory := units.parse_bytes(container.resources.limits.memory)
	memory > units.parse_bytes(input.parameters.memory)
	msg := sprintf("container %s: memory limit %s is above %s", [container.name, container.resources.limits.memory, input.parameters.memory])
}
