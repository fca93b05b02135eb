package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
)

// output is what a process has written, for those who read it later or as it comes.
type output struct {
	mutex   sync.Mutex
	changed *sync.Cond
	text    []byte
	ended   bool
}

func newOutput() *output {
	o := &output{}
	o.changed = sync.NewCond(&o.mutex)
	return o
}

func (o *output) Write(text []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.text = append(o.text, text...)
	o.changed.Broadcast()
	return len(text), nil
}

func (o *output) end() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.ended = true
	o.changed.Broadcast()
}

func (o *output) length() int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return len(o.text)
}

// tail is where the last lines begin.
func (o *output) tail(lines int) int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if lines == 0 {
		return len(o.text)
	}
	from := len(bytes.TrimSuffix(o.text, []byte("\n")))
	for ; lines > 0 && from >= 0; lines-- {
		from = bytes.LastIndexByte(o.text[:from], '\n')
	}
	return from + 1
}

// copy writes what is there from a position on, and with follow what comes, until the process or the reader is gone.
func (o *output) copy(ctx context.Context, to io.Writer, from int, follow bool) error {
	stop := context.AfterFunc(ctx, func() {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.changed.Broadcast()
	})
	defer stop()
	for {
		text, ended := o.next(ctx, from, follow)
		if len(text) > 0 {
			if _, err := to.Write(text); err != nil {
				return err
			}
			from += len(text)
		}
		if ended || ctx.Err() != nil {
			return nil
		}
	}
}

func (o *output) next(ctx context.Context, from int, follow bool) (text []byte, ended bool) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for follow && len(o.text) == from && !o.ended && ctx.Err() == nil {
		o.changed.Wait()
	}
	return o.text[from:], o.ended || !follow
}

// flushing sends each piece at once.
type flushing struct {
	writer  io.Writer
	control *http.ResponseController
}

func (f flushing) Write(text []byte) (int, error) {
	length, err := f.writer.Write(text)
	if err == nil {
		err = f.control.Flush()
	}
	return length, err
}
