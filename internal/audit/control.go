package audit

import (
	"context"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/presence"
)

// readControl holds what was told as erased against the ledger, and the holes that
// erasing has left in the stream against what was told: subscribers accept no
// others.
func (w *witness) readControl(ctx context.Context, holes presence.SeqSet) error {
	noted := w.control.last
	now, err := w.shore(ctx, "PRESENCE_CONTROL_"+strconv.FormatUint(uint64(w.App), 10))
	if err != nil {
		return err
	}
	var told presence.SeqSet
	err = now.each(ctx, 0, func(m jetstream.Msg) error {
		if m.Subject() != presence.ControlSubject(w.App, presence.ErasedWord) {
			return nil
		}
		e, err := presence.ParseErased(m.Data())
		if err != nil {
			w.report.add(Erasure, m.Subject(), "a message on %s cannot be read: %v", m.Subject(), err)
			return nil
		}
		told = told.Union(e.Seqs)
		meta, err := m.Metadata()
		if err == nil && meta.Sequence.Stream <= noted {
			w.contradict(e.Seqs)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range holes.Without(told) {
		w.report.add(Erasure, strconv.FormatInt(r.First, 10), "%s: erased, not in the stream any more, and not told as erased", run(r))
	}
	return nil
}

// contradict finds events that were told as erased, and stand in the ledger.
func (w *witness) contradict(told presence.SeqSet) {
	for _, r := range told {
		for seq := max(r.First, w.book.first); seq <= min(r.Last, w.book.newest); seq++ {
			if sum, erased := w.book.get(seq); sum != noRow && !erased {
				w.report.add(Erasure, strconv.FormatInt(seq, 10), "event %d was told as erased, and the ledger has it", seq)
			}
		}
	}
}
