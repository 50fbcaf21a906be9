package stacktest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Server is a server of its own of a part, for a test that stops and starts it while other tests use the part's first one.
type Server struct {
	parts string // the folder of the parts
	part  string
	env   []string
}

// Own starts a server of a part (postgres, kafka, rabbitmq or qdrant) on free ports and with empty data, or of ollama, with its models. It is skipped or fails
// like Require where the part is not there. The end of the test stops the server and deletes its data.
func Own(t testing.TB, part string) *Server {
	t.Helper()
	name := strings.ToUpper(part)
	if part == "ollama" {
		Require(t, "SENTINEL_OLLAMA_URL")
	} else {
		Require(t, "SENTINEL_TEST_"+name)
	}
	port := freePorts(t, 3)
	s := &Server{parts: filepath.Join(root(t), "deploy", "stack", "parts"), part: part}
	s.env = append(os.Environ(),
		fmt.Sprintf("SENTINEL_STACK_INSTANCE=%d-%d", os.Getpid(), port),
		fmt.Sprintf("SENTINEL_%s_PORT=%d", name, port))
	t.Cleanup(func() { s.run(t, "discard") })
	s.Start(t)
	return s
}

// Start starts the server, with the data that it had, and returns when it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	s.run(t, "up")
}

// Stop stops the server, politely, and returns when it has ended.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.run(t, "down")
}

// Value returns what the variable that Require would be asked for is with this server, stopped or not.
func (s *Server) Value(t testing.TB, variable string) string {
	t.Helper()
	for _, line := range strings.Split(s.run(t, "provides"), "\n") {
		if value, found := strings.CutPrefix(line, variable+"="); found {
			return value
		}
	}
	t.Fatalf("the part %s has no %s", s.part, variable)
	return ""
}

func (s *Server) run(t testing.TB, verb string) string {
	t.Helper()
	// Not the test's context: the cleanup runs after its end.
	command := exec.Command(filepath.Join(s.parts, s.part+".sh"), verb)
	command.Env = s.env
	var said strings.Builder
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", s.part, verb, err, said.String())
	}
	return string(out)
}

// root is the folder of the module that the test belongs to.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("not inside of a Go module")
		}
		dir = parent
	}
}

// freePorts returns the first of n ports in a row that nothing listens on. They lie below the range from which the kernel
// picks ports for connections; where the search begins differs from process to process.
func freePorts(t testing.TB, n int) int {
	t.Helper()
	const low, high = 20000, 32000
	begin := os.Getpid() * 10 % (high - low)
	given.Lock()
	defer given.Unlock()
	for i := given.ports; i < high-low; i += n {
		first := low + (begin+i)%(high-low)
		if portsFree(first, n) {
			given.ports = i + n
			return first
		}
	}
	t.Fatal("no free ports")
	return 0
}

// given is how far the search has come in this process: what was found for one test is not listened on yet when another one asks.
var given struct {
	sync.Mutex
	ports int
}

func portsFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		listener.Close()
	}
	return true
}
