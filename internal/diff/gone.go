package diff

// Gone returns at most n of those that [Memory.EndWatchlist] would remove, for a
// person to look at. They are the first that are found, and no sample.
func (m *Memory) Gone(n int) (ids []string) {
	for r := range m.records() {
		if len(ids) >= n {
			break
		}
		if r.mark != m.mark {
			ids = append(ids, r.id)
		}
	}
	return ids
}
