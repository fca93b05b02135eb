package privileged

violation contains {"msg": msg} if {
	some container in containers
	container.securityContext.privileged
	msg := sprintf("container %s is privileged", [container.name])
}

violation contains {"msg": msg} if {
	some container in containers
	container.securityContext.allowPrivilegeEscalation
	msg := sprintf("container %s may escalate its privileges", [container.name])
}

containers := array.concat(input.review.object.spec.containers, object.get(input.review.object.spec, "initContainers", []))
