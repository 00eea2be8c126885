package zimsim

import "time"

// nonceMemory is the least time for which a nonce is remembered: as long as a Timestamp from the far end of the
// allowed clock error stays acceptable.
const nonceMemory = 2 * clockError

// nonces remembers each nonce for one to two nonceMemory, in two generations.
type nonces struct {
	young, old map[uint64]struct{}
	turned     time.Duration // when the young generation began
}

// seen says whether the nonce was seen within the memory, and remembers it.
func (n *nonces) seen(nonce uint64, at time.Duration) bool {
	if n.young == nil || at-n.turned >= nonceMemory {
		n.old = n.young
		if at-n.turned >= 2*nonceMemory {
			n.old = nil
		}
		n.young, n.turned = map[uint64]struct{}{}, at
	}
	_, young := n.young[nonce]
	_, old := n.old[nonce]
	n.young[nonce] = struct{}{}
	return young || old
}
