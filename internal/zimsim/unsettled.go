package zimsim

import (
	"fmt"
	"net/http"
)

// Unsettled chooses, where the vendor's documents leave it open, how the gateway behaves. A client has to bear
// every choice. The zero value is the harshest reading that the documents allow.
type Unsettled struct {
	StatusCase    string `json:"status_case"`     // of the words in Result: title (default), lower or upper
	AllFailedZero bool   `json:"all_failed_zero"` // Code is 0, not 660200001, when everybody is in ErrorList
	RateCode      int    `json:"rate_code"`       // over the limit: 660300005 (default), 7, or 429 for an HTTP 429
	RetryAfter    int    `json:"retry_after"`     // seconds, with rate code 429; 0 sends no Retry-After
	EmptyList     string `json:"empty_list"`      // rotate (default), null, absent or []
	BadIDAlone    bool   `json:"bad_id_alone"`    // a bad id fails itself in ErrorList, not the batch
	BadIDCode     int    `json:"bad_id_code"`     // of an illegal character: 660000002 (default) or 2
	LongestID     int    `json:"longest_id"`      // bytes; 0 means 32
	LongestLine   int    `json:"longest_line"`    // bytes of the request line; 0 means 8192
	ForgetNonces  bool   `json:"forget_nonces"`   // a repeated nonce is counted but not refused
}

func (u Unsettled) withDefaults() (Unsettled, error) {
	setIfZero(&u.StatusCase, "title")
	setIfZero(&u.RateCode, codeRate)
	setIfZero(&u.EmptyList, "rotate")
	setIfZero(&u.BadIDCode, codeBadID)
	setIfZero(&u.LongestID, 32)
	setIfZero(&u.LongestLine, 8192)
	if _, ok := wordsIn(u.StatusCase); !ok {
		return u, fmt.Errorf("status case %q: want title, lower or upper", u.StatusCase)
	}
	if emptyForms(u.EmptyList) == nil {
		return u, fmt.Errorf("empty list %q: want rotate, null, absent or []", u.EmptyList)
	}
	if u.RateCode != codeRate && u.RateCode != codeFrequent && u.RateCode != http.StatusTooManyRequests {
		return u, fmt.Errorf("rate code %d: want %d, %d or 429", u.RateCode, codeRate, codeFrequent)
	}
	return u, nil
}

// Codes of the answers. Which of the "never retry" codes stands for which malformed parameter is not documented;
// the choice among them carries no meaning.
const (
	codeBadInput    = 2
	codeFrequent    = 7
	codeAction      = 100000001
	codeParameter   = 100000003
	codeExpired     = 100000004
	codeSignature   = 100000005
	codeVersion     = 100000006
	codeNonce       = 100000009
	codeUnknownApp  = 100000011
	codeBadID       = 660000002
	codeTooMany     = 660000011
	codeLongID      = 660000012
	codeNoSession   = 660200001
	codeRate        = 660300005
	mostIDs         = 100
	successMessage  = "success"
	noSessionReason = "user has no session"
)
