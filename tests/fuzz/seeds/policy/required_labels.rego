package required_labels

violation contains {"code": "missing", "path": "metadata.labels", "details": {"label": label}} if {
	some label in input.parameters.labels
	not input.review.object.metadata.labels[label]
}

violation contains {"msg": msg, "path": "metadata.labels"} if {
	some label, pattern in input.parameters.patterns
	value := input.review.object.metadata.labels[label]
	not regex.match(pattern, value)
	msg := sprintf("label %s is %s, it must match %s", [label, value, pattern])
}
