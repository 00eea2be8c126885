package zim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/zim-presence/poller/presence"
)

// The official vector of ZIM's signature (ZIM server API, "Signature method").
const (
	vectorApp       = 12345
	vectorNonce     = "4fd24687296dd9f3"
	vectorSecret    = "9193cc662a4c0ec135ec71fb57194b38"
	vectorTime      = 1615186943
	vectorSignature = "43e5cfcca828314675f91b001390566a"
)

// SignsRight tells whether this program signs as ZIM's official vector says.
func SignsRight() bool {
	return sign(vectorApp, vectorNonce, vectorSecret, vectorTime) == vectorSignature
}

// From these differences of the clocks on somebody should look after them, and ZIM
// takes no signature any more.
const (
	SkewAlarm   = skewAlarm
	SkewRefused = 10 * time.Minute
)

// Tried is what one request brought.
type Tried struct {
	Attempt
	// Err is nil where ZIM answered, else an [*Error].
	Err error
	// Mend is what to do about Err; "" without.
	Mend string
	// Ahead is how far this machine's clock is ahead of ZIM's, to a second. Dated is
	// false where the reply did not say.
	Ahead time.Duration
	Dated bool
}

// Try sends one request about one user, in a slot of the budget, and never repeats
// it. The error is that of ctx or of the budget: nothing was sent then, or its reply
// was not waited for.
func (c *Client) Try(ctx context.Context, user string) (Tried, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batch := []presence.User{{ID: user}}
	r, answer, err := c.asking(&c.sweep, nil, cancel).attempt(ctx, batch)
	failure, known := errors.AsType[*Error](err)
	if err != nil && !known {
		return Tried{}, err
	}
	if err == nil && len(r.again) > 0 {
		failure = r.passing()
		err = failure
	}
	t := Tried{Attempt: newAttempt(c.sweep.name, batch, r, answer, answer.At.Sub(answer.AskedAt), err), Err: err}
	t.Ahead, t.Dated = c.skew.ahead()
	if failure != nil {
		t.Mend = failure.remedy()
	}
	return t, nil
}

// remedy is what somebody has to do, said of every error.
func (e *Error) remedy() string {
	switch m := e.Mend(); {
	case m != "":
		return m
	case e.Class == Slow:
		return "lower zim.rate: another program spends the limit of this AppID, or the contract allows less"
	case e.Class == Ours:
		return "report it: the request is not as ZIM wants it"
	case e.Status != 0 && e.Status != http.StatusOK:
		return fmt.Sprintf("look whether zim.base_url is ZIM's, and what stands between: HTTP %d is no answer of ZIM's own", e.Status)
	case e.Code == 0:
		return "try again; if it stays so, look at the network, and whether zim.base_url is the region nearest to here"
	}
	return "try again; if it stays so, ask the people at ZIM"
}
