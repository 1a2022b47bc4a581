package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// plane is the running control plane.
type plane struct {
	dir, binaries   string
	timeout         time.Duration
	extra           []string
	interrupted     func() error
	etcdURL, peers  string
	port            string
	admin, outsider string
	etcd, server    *process
	controllers     *process
	http            *http.Client
}

func newPlane(dir, binaries string, timeout time.Duration, extra []string, interrupted func() error) (*plane, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	p := &plane{
		dir: dir, binaries: binaries, timeout: timeout, extra: extra, interrupted: interrupted,
		etcdURL: "http://127.0.0.1:" + ports[0], peers: "http://127.0.0.1:" + ports[1], port: ports[2],
		admin: token(), outsider: token(),
		// The readiness probe alone skips the check: the certificate that it would need is not yet written.
		http: &http.Client{
			Timeout:   5 * time.Second,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		},
	}
	if err := p.writeKey(); err != nil {
		return nil, err
	}
	tokens := fmt.Sprintf("%s,admin,admin,\"system:masters\"\n%s,outsider,outsider\n", p.admin, p.outsider)
	return p, os.WriteFile(p.path("tokens.csv"), []byte(tokens), 0o600)
}

func (p *plane) path(name string) string { return filepath.Join(p.dir, name) }

func (p *plane) url() string { return "https://127.0.0.1:" + p.port }

func (p *plane) start(controllers bool) error {
	if err := p.startEtcd(); err != nil {
		return err
	}
	if err := p.startServer(); err != nil {
		return err
	}
	if err := p.writeKubeconfig("kubeconfig", "admin", p.admin); err != nil {
		return err
	}
	if err := p.writeKubeconfig("outsider.kubeconfig", "outsider", p.outsider); err != nil {
		return err
	}
	if controllers {
		return p.startControllers()
	}
	return nil
}

func (p *plane) startEtcd() (err error) {
	p.etcd, err = launch(p.dir, filepath.Join(p.binaries, "etcd"),
		"--data-dir="+p.path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+p.etcdURL, "--advertise-client-urls="+p.etcdURL,
		"--listen-peer-urls="+p.peers, "--initial-advertise-peer-urls="+p.peers,
		"--initial-cluster=default="+p.peers)
	if err != nil {
		return err
	}
	return p.await(p.etcd, p.etcdURL+"/health")
}

func (p *plane) startServer() (err error) {
	arguments := append([]string{
		"--etcd-servers=" + p.etcdURL, "--secure-port=" + p.port, "--bind-address=127.0.0.1",
		"--endpoint-reconciler-type=none", "--cert-dir=" + p.dir,
		"--service-account-key-file=" + p.path("key.pem"), "--service-account-signing-key-file=" + p.path("key.pem"),
		"--service-account-issuer=https://kubernetes.default.svc", "--token-auth-file=" + p.path("tokens.csv"),
		"--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
		"--disable-admission-plugins=ServiceAccount", "--shutdown-delay-duration=0s",
	}, p.extra...)
	if p.server, err = launch(p.dir, filepath.Join(p.binaries, "kube-apiserver"), arguments...); err != nil {
		return err
	}
	if err := p.await(p.server, p.url()+"/readyz"); err != nil {
		return err
	}
	return p.await(p.server, p.url()+"/api/v1/namespaces/default")
}

func (p *plane) startControllers() (err error) {
	p.controllers, err = launch(p.dir, filepath.Join(p.binaries, "kube-controller-manager"),
		"--kubeconfig="+p.path("kubeconfig"), "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0",
		"--controllers=garbage-collector-controller,namespace-controller,deployment-controller,replicaset-controller",
		"--service-account-private-key-file="+p.path("key.pem"))
	return err
}

func (p *plane) stop() {
	p.controllers.end(0)
	p.server.end(2 * time.Second)
	p.etcd.end(2 * time.Second)
}

// await returns when the address answers 200.
func (p *plane) await(child *process, address string) error {
	for deadline := time.Now().Add(p.timeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if child.ended() {
			return child.failure("ended")
		}
		if err := p.interrupted(); err != nil {
			return err
		}
		request, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+p.admin)
		answer, err := p.http.Do(request)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return nil
		}
	}
	return child.failure("was not ready in " + p.timeout.String())
}

func (p *plane) writeKey() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(p.path("key.pem"), pem.EncodeToMemory(block), 0o600)
}

// writeKubeconfig trusts the certificate that kube-apiserver made for itself.
func (p *plane) writeKubeconfig(name, user, token string) error {
	certificate, err := os.ReadFile(p.path("apiserver.crt"))
	if err != nil {
		return err
	}
	text := strings.NewReplacer(
		"{ca}", base64.StdEncoding.EncodeToString(certificate), "{server}", p.url(), "{user}", user, "{token}", token,
	).Replace(`apiVersion: v1
kind: Config
clusters:
- name: control-plane
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
    token: {token}
contexts:
- name: {user}
  context:
    cluster: control-plane
    user: {user}
current-context: {user}
`)
	return os.WriteFile(p.path(name), []byte(text), 0o600)
}

func (p *plane) description() map[string]any {
	return map[string]any{
		"kubeconfig": p.path("kubeconfig"), "outsider": p.path("outsider.kubeconfig"),
		"url": p.url(), "etcd": p.etcdURL, "dir": p.dir,
	}
}

func token() string {
	bytes := make([]byte, 16)
	_, _ = rand.Read(bytes)
	return hex.EncodeToString(bytes)
}

// freePorts holds all listeners until all ports are known, so that no two are the same.
func freePorts(count int) ([]string, error) {
	var ports []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}
