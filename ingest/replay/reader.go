package replay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/llm-sentinel/llm-sentinel/engine"
)

// DefaultMaxRequestBytes is a bound on one request of a file that is ample for what exporters write.
const DefaultMaxRequestBytes = 64 << 20

// Record is one request of a file. The signal that it was not is empty.
type Record struct {
	Line   int // where it begins, from 1; the number of the request in a protobuf file
	Traces ptrace.Traces
	Logs   plog.Logs
}

// RecordError is a request that could not be read. It has CodeInvalid or CodeTooLarge.
type RecordError struct {
	File string
	Line int // the number of the request in a protobuf file
	Err  error
}

// Error names file and line, as compilers do.
func (e *RecordError) Error() string { return fmt.Sprintf("replay: %s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns what is wrong with the request.
func (e *RecordError) Unwrap() error { return e.Err }

// Reader reads the requests of one file. It is not safe for concurrent use.
type Reader struct {
	name  string
	limit int
	in    *bufio.Reader
	close func() error
	next  func() (Record, error)

	line    int    // of the line that was read last; of the request in a protobuf file
	pending []byte // a line that was read ahead
	hasLine bool
}

// Open opens a file, or standard input for "-". maxRequestBytes bounds a request after decompression.
func Open(path string, maxRequestBytes int) (*Reader, error) {
	if path == "-" {
		return NewReader(os.Stdin, "standard input", maxRequestBytes)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	r, err := NewReader(f, path, maxRequestBytes)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	r.close = f.Close
	return r, nil
}

// NewReader reads from in, which errors call name.
func NewReader(in io.Reader, name string, maxRequestBytes int) (*Reader, error) {
	if maxRequestBytes < 1 {
		return nil, engine.Errorf(engine.CodeInvalid, "replay: max_request_bytes is %d, want at least 1", maxRequestBytes)
	}
	const buffer = 64 << 10
	r := &Reader{name: name, limit: maxRequestBytes, in: bufio.NewReaderSize(in, buffer), close: func() error { return nil }}
	if magic, _ := r.in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		zr, err := gzip.NewReader(r.in)
		if err != nil {
			return nil, engine.Errorf(engine.CodeInvalid, "replay: %s: malformed gzip: %w", name, err)
		}
		r.in = bufio.NewReaderSize(zr, buffer)
	}
	if mark, _ := r.in.Peek(3); string(mark) == "\uFEFF" {
		_, _ = r.in.Discard(len(mark))
	}
	first, err := r.in.Peek(1)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("replay: read %s: %w", name, err)
	case len(first) == 0:
		r.next = func() (Record, error) { return Record{}, io.EOF }
	case first[0] == 0x0a && !r.looksLikeText():
		r.next = r.wholeProto
	case first[0] < '\t':
		r.next = r.framedProto
	default:
		r.next = r.nextJSON
	}
	return r, nil
}

// looksLikeText tells a file that begins with an empty line from a protobuf request, whose first byte is the same.
func (r *Reader) looksLikeText() bool {
	head, _ := r.in.Peek(512)
	for _, c := range head {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	head = bytes.TrimLeft(head, " \t\r\n")
	return len(head) == 0 || head[0] == '{'
}

// Close closes the file.
func (r *Reader) Close() error { return r.close() }

// Next returns the next request, or io.EOF after the last. A *RecordError is about one request: calling Next again goes on behind
// it. Any other error ends the file.
func (r *Reader) Next() (Record, error) { return r.next() }

func (r *Reader) bad(line int, code engine.Code, format string, args ...any) error {
	return &RecordError{File: r.name, Line: line, Err: engine.Errorf(code, format, args...)}
}

// wholeProto reads a file that is one protobuf request.
func (r *Reader) wholeProto() (Record, error) {
	r.next = func() (Record, error) { return Record{}, io.EOF }
	body, err := io.ReadAll(io.LimitReader(r.in, int64(r.limit)+1))
	if err != nil {
		return Record{}, fmt.Errorf("replay: read %s: %w", r.name, err)
	}
	if len(body) > r.limit {
		return Record{}, r.bad(1, engine.CodeTooLarge, "request is larger than %d bytes", r.limit)
	}
	r.line = 1
	return r.decodeProto(body)
}

// framedProto reads the next of several protobuf requests.
func (r *Reader) framedProto() (Record, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return Record{}, io.EOF
		}
		return Record{}, fmt.Errorf("replay: read %s: length of request %d: %w", r.name, r.line+1, err)
	}
	r.line++
	size := int64(binary.BigEndian.Uint32(head[:]))
	if size == 0 {
		return Record{}, fmt.Errorf("replay: read %s: request %d is empty: this is no OTLP file", r.name, r.line)
	}
	if size > int64(r.limit) {
		if err := r.copy(io.Discard, size); err != nil {
			return Record{}, err
		}
		return Record{}, r.bad(r.line, engine.CodeTooLarge, "request of %d bytes is larger than %d bytes", size, r.limit)
	}
	// The length is a claim: room is made as the bytes come.
	var body bytes.Buffer
	if err := r.copy(&body, size); err != nil {
		return Record{}, err
	}
	return r.decodeProto(body.Bytes())
}

// copy takes the bytes of one request. A file that ends before is cut off, which is not its regular end.
func (r *Reader) copy(to io.Writer, size int64) error {
	_, err := io.CopyN(to, r.in, size)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("replay: read %s: request %d of %d bytes: %w", r.name, r.line, size, err)
	}
	return nil
}

// decodeProto tells traces from logs by trying: their fields have different wire types.
func (r *Reader) decodeProto(body []byte) (Record, error) {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	if err == nil {
		return Record{Line: r.line, Traces: td, Logs: plog.NewLogs()}, nil
	}
	ld, logsErr := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(body)
	if logsErr == nil {
		return Record{Line: r.line, Traces: ptrace.NewTraces(), Logs: ld}, nil
	}
	return Record{}, r.bad(r.line, engine.CodeInvalid, "neither traces (%w) nor logs (%w)", err, logsErr)
}

// nextJSON reads the next request of a JSON file, which may take more than one line.
func (r *Reader) nextJSON() (Record, error) {
	for {
		line, err := r.readLine()
		if err != nil {
			return Record{}, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if line[0] == '{' && !json.Valid(line) {
			return r.spreadJSON(line)
		}
		return r.decodeJSON(r.line, line)
	}
}

// spreadJSON reads on from a line that opens a request until it is closed. The next line that opens a request of its own ends a
// broken one, so that only the broken one is lost.
func (r *Reader) spreadJSON(first []byte) (Record, error) {
	start := r.line
	body := bytes.Clone(first)
	var n nesting
	for n.add(first); n.depth > 0; {
		line, err := r.readLine()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Record{}, err
		}
		if opensRequest(line) {
			r.pending, r.hasLine = bytes.Clone(line), true
			r.line--
			break
		}
		if len(body)+len(line) > r.limit {
			return Record{}, r.bad(start, engine.CodeTooLarge, "request is larger than %d bytes", r.limit)
		}
		body = append(append(body, '\n'), line...)
		n.add(line)
	}
	return r.decodeJSON(start, body)
}

// opensRequest reports whether a line begins as a request does. Inside of a request no line does.
func opensRequest(line []byte) bool {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(`{`))
	return ok && bytes.HasPrefix(bytes.TrimSpace(rest), []byte(`"resource`)) && signalOf(line) != ""
}

// nesting counts open braces and brackets outside of strings.
type nesting struct {
	depth             int
	inString, escaped bool
}

func (n *nesting) add(line []byte) {
	for _, c := range line {
		switch {
		case n.escaped:
			n.escaped = false
		case n.inString:
			n.escaped, n.inString = c == '\\', c != '"'
		case c == '"':
			n.inString = true
		case c == '{' || c == '[':
			n.depth++
		case c == '}' || c == ']':
			n.depth--
		}
	}
	n.inString, n.escaped = false, false // strings end on their line
}

// readLine returns the next line without its end. Too long a line is skipped and an error.
func (r *Reader) readLine() ([]byte, error) {
	r.line++
	if r.hasLine {
		line := r.pending
		r.pending, r.hasLine = nil, false
		return line, nil
	}
	var line []byte
	for over := false; ; {
		piece, err := r.in.ReadSlice('\n')
		if over = over || len(line)+len(piece) > r.limit+1; over {
			line = nil
		} else {
			line = append(line, piece...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, fmt.Errorf("replay: read %s: line %d: %w", r.name, r.line, err)
		case over:
			return nil, r.bad(r.line, engine.CodeTooLarge, "line is longer than %d bytes", r.limit)
		case err != nil && len(line) == 0:
			return nil, io.EOF
		}
		return bytes.TrimSuffix(line, []byte("\n")), nil
	}
}

// signalOf looks for the key that tells the signal; as a key it cannot stand inside of a string.
func signalOf(body []byte) string {
	for _, key := range [...]string{"resourceSpans", "resourceLogs", "resourceMetrics"} {
		if bytes.Contains(body, []byte(`"`+key+`"`)) {
			return key
		}
	}
	return ""
}

func (r *Reader) decodeJSON(line int, body []byte) (Record, error) {
	if !json.Valid(body) {
		var raw json.RawMessage
		return Record{}, r.bad(line, engine.CodeInvalid, "malformed JSON: %w", json.Unmarshal(body, &raw))
	}
	rec := Record{Line: line, Traces: ptrace.NewTraces(), Logs: plog.NewLogs()}
	var err error
	switch signalOf(body) {
	case "resourceSpans":
		rec.Traces, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(body)
	case "resourceLogs":
		rec.Logs, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(body)
	case "resourceMetrics":
	default:
		return Record{}, r.bad(line, engine.CodeInvalid, "not OTLP: no resourceSpans, resourceLogs or resourceMetrics")
	}
	if err != nil {
		return Record{}, r.bad(line, engine.CodeInvalid, "malformed OTLP/JSON: %w", err)
	}
	return rec, nil
}
