package main

import "testing"

func TestValidate(t *testing.T) {
	const head = `{"settings":{"annotation":"a","pattern":"cc-[0-9]+"},"request":{"object":{"metadata":`
	for metadata, accepted := range map[string]bool{
		`{"annotations":{"a":"cc-12"}}`:    true,
		`{"annotations":{"a":"cc-12; x"}}`: false,
		`{"annotations":{"b":"cc-12"}}`:    false,
		`{}`:                               false,
	} {
		response, err := handle("validate", []byte(head+metadata+"}}}"))
		if err != nil {
			t.Fatal(err)
		}
		if response.(validationResponse).Accepted != accepted {
			t.Errorf("%s: accepted is not %v", metadata, accepted)
		}
	}
}

func TestSettings(t *testing.T) {
	for text, valid := range map[string]bool{`{"annotation":"a","pattern":"x"}`: true, `{"annotation":"a","pattern":"("}`: false, `{}`: false} {
		response, err := handle("validate_settings", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if response.(settingsResponse).Valid != valid {
			t.Errorf("%s: valid is not %v", text, valid)
		}
	}
}
