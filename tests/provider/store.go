package main

import (
	"context"
	"slices"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The scope with which a client asks for a user's groups, and the claim that has them.
const groups = "groups"

// Where clients are sent back to.
const redirect = "http://localhost:8000/"

// store is that of the example server, with groups and with keys that change.
type store struct {
	*storage.Storage
	people people
	keys   *keys
}

func newStore(all []person) (*store, error) {
	keys, err := newKeys()
	if err != nil {
		return nil, err
	}
	people := make(people)
	for _, one := range all {
		people[one.Name] = one
	}
	clients := make(map[string]*storage.Client)
	for _, name := range []string{"bailey", "other"} {
		clients[name] = storage.NativeClient(name, redirect)
	}
	return &store{storage.NewStorageWithClients(people, clients), people, keys}, nil
}

func (s *store) SigningKey(context.Context) (op.SigningKey, error) { return s.keys.current(), nil }

func (s *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.RS256}, nil
}

func (s *store) KeySet(context.Context) ([]op.Key, error) { return s.keys.published(), nil }

func (s *store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found}, nil
}

func (s *store) SetUserinfoFromRequest(ctx context.Context, info *oidc.UserInfo, request op.IDTokenRequest,
	scopes []string) error {
	if err := s.Storage.SetUserinfoFromRequest(ctx, info, request, scopes); err != nil {
		return err
	}
	if slices.Contains(scopes, groups) {
		info.AppendClaims(groups, s.people[request.GetSubject()].Groups)
	}
	return nil
}

// client is one whose identity tokens say all that was asked for, and whose access tokens are JWTs too.
type client struct{ op.Client }

func (client) AccessTokenType() op.AccessTokenType  { return op.AccessTokenTypeJWT }
func (client) IDTokenUserinfoClaimsAssertion() bool { return true }
func (client) IsScopeAllowed(scope string) bool     { return scope == groups }

// people are those who can log in, by name.
type people map[string]person

func (p people) GetUserByID(id string) *storage.User {
	one, ok := p[id]
	if !ok {
		return nil
	}
	return &storage.User{
		ID: id, Username: id, Password: one.Password, Email: one.Email, EmailVerified: one.Verified,
	}
}

func (p people) GetUserByUsername(name string) *storage.User { return p.GetUserByID(name) }
func (p people) ExampleClientID() string                     { return storage.ServiceUserID }
