package main

import (
	"errors"

	"github.com/zim-presence/poller/internal/zim"
)

// zimMend is what to do where ZIM was reached and answers with errors, which is no matter of network or firewall; empty
// where it was not, and where its code says more.
func zimMend(err error) string {
	e, ok := errors.AsType[*zim.Error](err)
	switch {
	case !ok || e.Status == 0 || e.Mend() != "":
		return ""
	case e.Class == zim.Slow:
		return "another program asks under this AppID, or the contract allows less: lower zim.rate (POLLER_ZIM_RATE) to what is left"
	case e.Class == zim.Weather:
		return "ZIM, or a proxy before it, is reached and answers with errors: see ZEGOCLOUD's status, and whether zim.base_url (POLLER_ZIM_BASE_URL) is right; " +
			"else wait, it is tried on and on"
	}
	return ""
}
