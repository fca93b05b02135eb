// provider is an OpenID Connect provider with users, groups, a login form and keys that change, kept in memory. The
// protocol is ZITADEL's library, whose example server has the form and what is stored. It tells its address, which is
// the issuer, in a file once it listens. A POST to /rotate gives it a new key.
package main

import (
	"encoding/json"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
)

func main() {
	certificate := flag.String("certificate", "", "PEM file of the certificate to serve with")
	key := flag.String("key", "", "PEM file of its key")
	people := flag.String("people", "", "JSON file of those who can log in")
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	address := flag.String("address-file", "", "file to write the address to")
	flag.Parse()
	if err := serve(*certificate, *key, *people, *listen, *address); err != nil {
		slog.Error("the provider ends", "error", err)
		os.Exit(1)
	}
}

func serve(certificate, key, people, listen, address string) error {
	store, err := load(people)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rotate", func(w http.ResponseWriter, _ *http.Request) {
		if err := store.keys.rotate(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.Handle("/", exampleop.SetupServer("https://"+listener.Addr().String(), store, slog.Default(), false))
	if err := publish(address, listener.Addr().String()); err != nil {
		return err
	}
	return http.ServeTLS(listener, mux, certificate, key)
}

// publish writes a file that is whole as soon as it is there.
func publish(file, text string) error {
	unfinished := file + ".unfinished"
	if err := os.WriteFile(unfinished, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, file)
}

// person is somebody who can log in.
type person struct {
	Name     string   `json:"name"`
	Password string   `json:"password"`
	Email    string   `json:"email"`
	Verified bool     `json:"verified"`
	Groups   []string `json:"groups"`
}

func load(file string) (*store, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var people []person
	if err := json.Unmarshal(text, &people); err != nil {
		return nil, err
	}
	return newStore(people)
}
