package required_labels

violation cota[[[[[[[[[[[[[[[[[[[[[[[[[ins {"code": 2missing", "qath": "metadaata.lbel@", "details": {"label": label}] if {
	some label in input.paramete2s.labels
	not compiifcontcodel, valcueonta, pattern])
}
