// node is the end of a node that the API server talks to, for one Pod with one container: exec, attach,
// port-forward and logs at the kubelet's paths, streamed by the library that container runtimes stream with. The
// container is a process on this machine, and so is whatever is executed in it; a port is one of loopback. It tells
// its own address in a file once it listens, and the API server by its client certificate.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"

	"k8s.io/klog/v2"
)

func main() {
	certificate := flag.String("certificate", "", "PEM file of the certificate to serve with")
	key := flag.String("key", "", "PEM file of its key")
	authority := flag.String("client-authority", "", "PEM file of the authority of the API server's client certificate")
	client := flag.String("client-name", "", "common name in that certificate")
	address := flag.String("address-file", "", "file to write the address to")
	flag.Parse()
	if err := serve(*certificate, *key, *authority, *client, *address, flag.Args()); err != nil {
		klog.ErrorS(err, "the node ends")
		os.Exit(1)
	}
}

func serve(certificate, key, authority, client, address string, command []string) error {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(pem) {
		return fmt.Errorf("no certificate in %q", authority)
	}
	container, err := start(command)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := publish(address, listener.Addr().String()); err != nil {
		return err
	}
	server := &http.Server{
		Handler:   only(client, container.routes()),
		TLSConfig: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients},
	}
	return server.ServeTLS(listener, certificate, key)
}

// publish writes a file that is whole as soon as it is there.
func publish(file, text string) error {
	unfinished := file + ".unfinished"
	if err := os.WriteFile(unfinished, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(unfinished, file)
}

// only lets nobody pass but the client of this name.
func only(client string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name := r.TLS.PeerCertificates[0].Subject.CommonName; name != client {
			http.Error(w, fmt.Sprintf("%q is not the API server", name), http.StatusForbidden)
			return
		}
		klog.InfoS("asked", "method", r.Method, "path", r.URL.Path, "upgrade", r.Header.Get("Upgrade"))
		next.ServeHTTP(w, r)
	})
}
