package volumes

violation contains {"msg": msg} if {
	some volume in input.review.object.spec.volumes
	some field, _ in volume
	field != "name"
	not field in input.parameters.allowed
	msg := sprintf("volume %s is of type %s, allowed are %v", [volume.name, field, input.parameters.allowed])
}
