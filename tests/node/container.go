package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"time"

	"github.com/creack/pty"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// How long a connection may be idle, and how long a client may take to open its streams, as in a kubelet.
const (
	idle     = 4 * time.Hour
	creation = 30 * time.Second
)

// container is the one container of the node's Pod.
type container struct {
	stdin  io.Writer
	output *output
}

// start starts the container's own process.
func start(arguments []string) (*container, error) {
	if len(arguments) == 0 {
		return nil, errors.New("no command for the container was given")
	}
	command, output := exec.Command(arguments[0], arguments[1:]...), newOutput()
	command.Stdout, command.Stderr = output, output
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = command.Wait()
		output.end()
	}()
	return &container{stdin: stdin, output: output}, nil
}

func (c *container) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", c.exec)
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", c.attach)
	mux.HandleFunc("/portForward/{namespace}/{pod}", c.portForward)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", c.logs)
	return mux
}

func (c *container) exec(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	command := r.URL.Query()["command"]
	remotecommand.ServeExec(w, r, c, r.PathValue("pod"), "", r.PathValue("container"), command, options, idle,
		creation, remotecommand.SupportedStreamingProtocols)
}

func (c *container) attach(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeAttach(w, r, c, r.PathValue("pod"), "", r.PathValue("container"), options, idle, creation,
		remotecommand.SupportedStreamingProtocols)
}

func (c *container) portForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, c, r.PathValue("pod"), "", options, idle, creation,
		portforward.SupportedProtocols)
}

// logs knows the options `follow` and `tailLines`, and refuses others rather than leave them out.
func (c *container) logs(w http.ResponseWriter, r *http.Request) {
	query, from := r.URL.Query(), 0
	for name := range query {
		if name != "follow" && name != "tailLines" {
			http.Error(w, "logs have no option "+name, http.StatusBadRequest)
			return
		}
	}
	if tail := query.Get("tailLines"); tail != "" {
		lines, err := strconv.Atoi(tail)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		from = c.output.tail(lines)
	}
	_ = c.output.copy(r.Context(), flushing{w, http.NewResponseController(w)}, from, query.Get("follow") == "true")
}

// ExecInContainer runs a command; its end, and nothing else, ends it.
func (c *container) ExecInContainer(ctx context.Context, _, _, _ string, arguments []string, in io.Reader,
	out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	command := exec.Command(arguments[0], arguments[1:]...)
	if tty {
		return runInTerminal(command, in, out, resize)
	}
	if out != nil {
		command.Stdout = out
	}
	if errs != nil {
		command.Stderr = errs
	}
	if in != nil {
		// A command that ends does not wait for the end of what is typed.
		stdin, err := command.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		}()
	}
	return exitCode(command.Run())
}

func runInTerminal(command *exec.Cmd, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	terminal, err := pty.Start(command)
	if err != nil {
		return err
	}
	defer terminal.Close()
	go func() {
		for size := range resize {
			_ = pty.Setsize(terminal, &pty.Winsize{Rows: size.Height, Cols: size.Width})
		}
	}()
	if in != nil {
		go func() { _, _ = io.Copy(terminal, in) }()
	}
	// It ends with an error when the command has ended.
	_, _ = io.Copy(out, terminal)
	return exitCode(command.Wait())
}

// exitCode makes an error of a command one that streaming knows as its exit code.
func exitCode(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return utilexec.ExitErrorWrapper{ExitError: exit}
	}
	return err
}

// AttachContainer shows what the container's process writes from now on, and lets the client type.
func (c *container) AttachContainer(ctx context.Context, _, _, _ string, in io.Reader, out, _ io.WriteCloser, _ bool,
	_ <-chan remotecommand.TerminalSize) error {
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	from := c.output.length()
	if in != nil {
		go func() {
			_, _ = io.Copy(c.stdin, in)
			gone()
		}()
	}
	return c.output.copy(ctx, out, from, true)
}

// PortForward passes bytes both ways until the end on loopback has no more to say.
func (c *container) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	connection, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)})
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, stream)
		_ = connection.CloseWrite()
	}()
	_, err = io.Copy(stream, connection)
	return err
}
