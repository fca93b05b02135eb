package main

import (
	"crypto/rand"
	"crypto/rsa"
	"slices"
	"sync"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// keys are those that tokens are signed with: the first one now, the other before.
type keys struct {
	mutex sync.Mutex
	all   []key
}

func newKeys() (*keys, error) {
	k := &keys{}
	return k, k.rotate()
}

// rotate signs with a new key from now on, and publishes it and the one before.
func (k *keys) rotate() error {
	secret, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.all = append([]key{{uuid.NewString(), secret}}, k.all...)
	k.all = k.all[:min(len(k.all), 2)]
	return nil
}

func (k *keys) current() op.SigningKey {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.all[0]
}

func (k *keys) published() []op.Key {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	var published []op.Key
	for _, one := range slices.Clone(k.all) {
		published = append(published, public{one})
	}
	return published
}

type key struct {
	id     string
	secret *rsa.PrivateKey
}

func (k key) ID() string                                  { return k.id }
func (k key) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k key) Key() any                                    { return k.secret }

// public is what is published of a key.
type public struct{ key }

func (k public) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }
func (k public) Use() string                        { return "sig" }
func (k public) Key() any                           { return &k.secret.PublicKey }
