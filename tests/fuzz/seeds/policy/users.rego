package users

violation contains {"msg": msg} if {
	some container in input.review.object.spec.containers
	user := object.get(container, ["securityContext", "runAsUser"], object.get(input.review.object.spec, ["securityContext", "runAsUser"], 0))
	not in_ranges(user)
	msg := sprintf("container %s runs as user %d", [container.name, user])
}

in_ranges(user) if {
	some range in input.parameters.ranges
	user >= range.min
	user <= range.max
}
