package capabilities

violation contains {"msg": msg} if {
	some container in input.review.object.spec.containers
	some capability in container.securityContext.capabilities.add
	not capability in {c | some c in input.parameters.allowed}
	msg := sprintf("container %s adds capability %s", [container.name, capability])
}

violation contains {"msg": msg} if {
	some container in input.review.object.spec.containers
	dropped := {c | some c in container.securityContext.capabilities.drop}
	missing := {c | some c in input.parameters.drop} - dropped
	count(missing) > 0
	not "ALL" in dropped
	msg := sprintf("container %s does not drop %v", [container.name, missing])
}
