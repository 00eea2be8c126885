package zimsim

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// pad is the memory of one request, used again by later ones.
type pad struct {
	query  query
	states []State
	struck []*liveFault
	answer answer
	text   []byte
}

// call is one request on its way through the gateway.
type call struct {
	*pad
	server  *Server
	app     *App // nil when the request names none
	arrival arrival
	over    bool // the limit
	dice    dice
}

// Gateway is the simulated ZIM endpoint. It works in any http server, but kill_keepalive needs the one of Start. After
// Close, requests that hang or are delayed end without an answer.
func (s *Server) Gateway() http.Handler { return http.HandlerFunc(s.serveGateway) }

// serveGateway is the way of every request:
//
//	booked ─→ wire faults ─→ judged ─→ looked up ─→ data faults ─→ written
func (s *Server) serveGateway(w http.ResponseWriter, r *http.Request) {
	arrived := s.clock.arrived(r.Context())
	s.inside.join()
	defer s.inside.leave()
	p, _ := s.pads.Get().(*pad)
	defer s.pads.Put(p)
	c := &call{pad: p, server: s}
	c.arrive(arrived, r.URL.RawQuery)
	if skew := s.Skew(); skew != 0 {
		w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
	}
	if c.wireFaults(w, r) {
		return
	}
	if no := c.judge(r); no != nil {
		c.refuse(w, no)
		return
	}
	c.lookUp()
	c.write(w, r)
}

// arrive books the request, whatever is wrong with it.
func (c *call) arrive(at time.Duration, rawQuery string) {
	c.query.read(rawQuery)
	if id, ok := c.query.appID(); ok {
		c.app = c.server.find(id)
	}
	if c.app == nil {
		c.dice = diceAt(c.server.config.Seed, 0, c.server.strangers.Add(1))
		return
	}
	c.arrival, c.over = c.app.book(at, &c.query)
	c.dice = diceAt(c.server.config.Seed, uint64(c.app.id), c.arrival.number)
}

// judge is nil for a request that gets data.
func (c *call) judge(r *http.Request) *refusal {
	u := c.server.config.Unsettled
	if no := u.checkRequest(r); no != nil {
		return no
	}
	if c.app == nil {
		if _, ok := c.query.appID(); !ok {
			return refuse(codeParameter, "AppId: want a decimal uint32")
		}
		return refuse(codeUnknownApp, "unknown app")
	}
	if c.over {
		return u.overLimit()
	}
	if no := c.query.checkParameters(c.app.secret, c.server.now()); no != nil {
		return no
	}
	if c.arrival.repeated && !u.ForgetNonces {
		return refuse(codeNonce, "nonce used before")
	}
	if no := c.query.checkCount(); no != nil {
		return no
	}
	return c.checkIDs(u)
}

func (u Unsettled) overLimit() *refusal {
	if u.RateCode == http.StatusTooManyRequests {
		return refuseHTTP(u.RateCode)
	}
	return refuse(u.RateCode, "request frequency limit")
}

// checkIDs refuses the batch for a bad id, or moves bad ids from the query to the answer's ErrorList.
func (c *call) checkIDs(u Unsettled) *refusal {
	c.answer.result, c.answer.errorList = c.answer.result[:0], c.answer.errorList[:0]
	var first int
	c.query.ids = slices.DeleteFunc(c.query.ids, func(id string) bool {
		code := u.checkID(id)
		if code == 0 {
			return false
		}
		setIfZero(&first, code)
		c.answer.errorList = append(c.answer.errorList, line{id: id, code: code})
		return true
	})
	if first != 0 && !u.BadIDAlone {
		return refuse(first, "illegal user id")
	}
	return nil
}

// lookUp fills the answer with what is visible at one instant.
func (c *call) lookUp() {
	c.states = c.app.population.look(c.query.ids, c.states[:0])
	c.answer.fill(c.query.ids, c.states, c.server.words)
	c.answer.form = int(c.arrival.number)
	c.answer.request = c.requestID()
	c.answer.shuffle(&c.dice)
}

// requestID is over 2^53 and distinct for each request of an app.
func (c *call) requestID() uint64 { return 343649807833778782 + c.arrival.number*7 }

// write applies the data faults and sends the answer.
func (c *call) write(w http.ResponseWriter, r *http.Request) {
	c.app.bookAnswer(len(c.answer.result) == 0)
	c.struck = c.server.faults.strike(c.struck[:0], Kind.data, c.app.id, &c.dice)
	c.app.bookFaults(c.struck)
	for _, f := range c.struck {
		c.answer.spoil(f, c.query.ids, &c.dice)
	}
	if len(c.struck) > 0 {
		c.answer.shuffle(&c.dice)
	}
	c.answer.judge(c.server.config.Unsettled)
	c.encode()
	end := Kind("")
	for _, f := range c.struck {
		switch f.Kind {
		case SlowAnswer:
			c.server.delay(r.Context(), f.Delay)
		case Truncated, CutBody:
			end = f.Kind
		}
	}
	c.send(w, end)
}

func (c *call) encode() {
	c.text = c.answer.appendTo(c.text[:0], c.server.forms)
}

// send writes the text, in JSON's content type, whole or in part.
func (c *call) send(w http.ResponseWriter, end Kind) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	text := c.text
	if end != "" {
		text = text[:1+c.dice.below(len(text)-1)]
	}
	if end != CutBody {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text) // a client that left needs no answer
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(c.text)))
	_, _ = w.Write(text)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// refuse answers without data.
func (c *call) refuse(w http.ResponseWriter, no *refusal) {
	if c.app != nil {
		c.app.bookRefusal(no)
	}
	u := c.server.config.Unsettled
	if no.status != http.StatusOK {
		retryAfter := 0
		if no.status == http.StatusTooManyRequests {
			retryAfter = u.RetryAfter
		}
		writePage(w, no.status, retryAfter)
		return
	}
	c.fail(w, no.code, no.message)
}

// fail answers with a code and empty lists.
func (c *call) fail(w http.ResponseWriter, code int, message string) {
	c.answer = answer{
		code: code, message: message, form: int(c.arrival.number), request: c.requestID(),
		result: c.answer.result[:0], errorList: c.answer.errorList[:0],
	}
	c.encode()
	c.send(w, "")
}
