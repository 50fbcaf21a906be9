package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// generator sends encoded requests in a closed loop: each of its workers has one request under way and sends the next when that
// is answered.
type generator struct {
	requests []*request
	workers  int
	serial   *atomic.Uint64 // of the latest request of all generators
}

// load is what became of the requests of one round.
type load struct {
	accepted, refused int64 // requests
}

const export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// pause is how long a worker waits after the server said that it is full.
const pause = 10 * time.Millisecond

// run sends until ctx ends. A refusal for want of room is counted and sent again; any other error ends the run.
func (g *generator) run(ctx context.Context, addr string) (load, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(encoded{})))
	if err != nil {
		return load{}, fmt.Errorf("connect to %s: %w", addr, err)
	}
	defer func() { _ = conn.Close() }()
	var accepted, refused atomic.Int64
	var group errgroup.Group
	each := len(g.requests) / g.workers
	for w := range g.workers {
		own := g.requests[w*each : (w+1)*each]
		group.Go(func() error {
			for i := 0; ctx.Err() == nil; i++ {
				r := own[i%len(own)]
				r.renew(g.serial.Add(1), time.Now())
				var answer []byte
				err := conn.Invoke(context.WithoutCancel(ctx), export, r.body, &answer)
				switch status.Code(err) {
				case codes.OK:
					resp := ptraceotlp.NewExportResponse()
					if err := resp.UnmarshalProto(answer); err != nil {
						return fmt.Errorf("answer of %s: %w", addr, err)
					}
					if n := resp.PartialSuccess().RejectedSpans(); n > 0 {
						return fmt.Errorf("%s rejected %d spans: %s", addr, n, resp.PartialSuccess().ErrorMessage())
					}
					accepted.Add(1)
				case codes.Unavailable, codes.ResourceExhausted:
					refused.Add(1)
					time.Sleep(pause)
				default:
					return fmt.Errorf("export to %s: %w", addr, err)
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return load{accepted.Load(), refused.Load()}, err
}

// encoded is a codec of messages that are encoded already.
type encoded struct{}

func (encoded) Name() string { return "proto" }

func (encoded) Marshal(v any) (mem.BufferSlice, error) {
	body, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("encoded message is %T, want []byte", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(body)}, nil
}

func (encoded) Unmarshal(data mem.BufferSlice, v any) error {
	into, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("message is read into %T, want *[]byte", v)
	}
	*into = data.Materialize()
	return nil
}
