//go:build wasip1

package main

import (
	"encoding/json"
	"unsafe"
)

//go:wasmimport wapc __guest_request
func guestRequest(operation, payload unsafe.Pointer)

//go:wasmimport wapc __guest_response
func guestResponse(pointer unsafe.Pointer, length uint32)

//go:wasmimport wapc __guest_error
func guestError(pointer unsafe.Pointer, length uint32)

// guestCall is the one function the host calls: it says how long the operation's name and the payload
// are, and gets 1 for a response and 0 for an error.
//
//go:wasmexport __guest_call
func guestCall(operationLength, payloadLength uint32) uint32 {
	operation := make([]byte, operationLength)
	payload := make([]byte, payloadLength)
	guestRequest(start(operation), start(payload))
	response, err := handle(string(operation), payload)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(response); err == nil {
			guestResponse(start(text), uint32(len(text)))
			return 1
		}
	}
	text := []byte(err.Error())
	guestError(start(text), uint32(len(text)))
	return 0
}

func start(bytes []byte) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(bytes))
}
