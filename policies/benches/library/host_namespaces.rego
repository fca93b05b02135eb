package host_namespaces

violation contains {"msg": msg, "path": sprintf("spec.%s", [field])} if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	input.review.object.spec[field] == true
	msg := sprintf("%s is not allowed", [field])
}

violation contains {"msg": msg} if {
	some container in input.review.object.spec.containers
	some port in container.ports
	port.hostPort > 0
	msg := sprintf("container %s uses host port %d", [container.name, port.hostPort])
}
