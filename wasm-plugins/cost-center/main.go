// Command cost-center admits objects only with a cost centre in an annotation. It shows that a policy
// needs no SDK: it speaks waPC, the protocol of Kubewarden policies, in a hundred lines.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// settings are the binding's parameters.
type settings struct {
	// Annotation is the annotation that must be there.
	Annotation string `json:"annotation"`
	// Pattern is a regular expression for the whole value.
	Pattern string `json:"pattern"`
}

type validationRequest struct {
	Settings settings `json:"settings"`
	Request  struct {
		Object struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		} `json:"object"`
	} `json:"request"`
}

type validationResponse struct {
	Accepted bool    `json:"accepted"`
	Message  *string `json:"message,omitempty"`
}

type settingsResponse struct {
	Valid   bool    `json:"valid"`
	Message *string `json:"message,omitempty"`
}

// handle answers one operation of the protocol.
func handle(operation string, payload []byte) (any, error) {
	switch operation {
	case "protocol_version":
		return "v1", nil
	case "validate_settings":
		var given settings
		if err := json.Unmarshal(payload, &given); err != nil {
			return nil, fmt.Errorf("the settings cannot be read: %w", err)
		}
		if _, err := given.compile(); err != nil {
			text := err.Error()
			return settingsResponse{Message: &text}, nil
		}
		return settingsResponse{Valid: true}, nil
	case "validate":
		var given validationRequest
		if err := json.Unmarshal(payload, &given); err != nil {
			return nil, fmt.Errorf("the request cannot be read: %w", err)
		}
		return validate(given)
	default:
		return nil, fmt.Errorf("operation `%s` is not known", operation)
	}
}

func validate(given validationRequest) (validationResponse, error) {
	pattern, err := given.Settings.compile()
	if err != nil {
		return validationResponse{}, err
	}
	value, found := given.Request.Object.Metadata.Annotations[given.Settings.Annotation]
	if found && pattern.MatchString(value) {
		return validationResponse{Accepted: true}, nil
	}
	text := fmt.Sprintf("annotation `%s` is missing, a value like `%s` would pass",
		given.Settings.Annotation, given.Settings.Pattern)
	if found {
		text = fmt.Sprintf("annotation `%s` is `%s`, a value like `%s` would pass",
			given.Settings.Annotation, value, given.Settings.Pattern)
	}
	return validationResponse{Message: &text}, nil
}

// compile checks the settings and anchors the pattern at both ends.
func (given settings) compile() (*regexp.Regexp, error) {
	if given.Annotation == "" || given.Pattern == "" {
		return nil, errors.New("`annotation` and `pattern` must be set")
	}
	return regexp.Compile("^(?:" + given.Pattern + ")$")
}

// main is never called: the module is a library.
func main() {}
