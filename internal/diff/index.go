package diff

import "hash/maphash"

// index finds the slot of a user by id: an open table with linear probing that
// holds slots alone, at most three quarters full. The ids are compared where
// they are, in the records; a map would hold a second header of each, and cost
// six times as much.
type index struct {
	seed  maphash.Seed
	table []uint32 // slot + 1; 0 is free. Its length is a power of two
	count int
}

const smallestIndex = 16

func newIndex() index { return index{seed: maphash.MakeSeed(), table: make([]uint32, smallestIndex)} }

// place returns where the id stands, or where it would have to be put.
func (m *Memory) place(id string) (place uint64, found bool) {
	x := &m.index
	mask := uint64(len(x.table) - 1)
	for place = maphash.String(x.seed, id) & mask; x.table[place] != 0; place = (place + 1) & mask {
		if m.at(x.table[place]-1).id == id {
			return place, true
		}
	}
	return place, false
}

// find returns the record of a user, nil for none.
func (m *Memory) find(id string) *record {
	if place, found := m.place(id); found {
		return m.at(m.index.table[place] - 1)
	}
	return nil
}

// link adds a slot whose record holds its id, which the index does not have.
func (m *Memory) link(slot uint32) {
	if 4*(m.index.count+1) > 3*len(m.index.table) {
		m.grow()
	}
	place, _ := m.place(m.at(slot).id)
	m.index.table[place] = slot + 1
	m.index.count++
}

func (m *Memory) grow() {
	old := m.index.table
	m.index.table = make([]uint32, 2*len(old))
	for _, entry := range old {
		if entry != 0 {
			place, _ := m.place(m.at(entry - 1).id)
			m.index.table[place] = entry
		}
	}
}

// unlink takes an id out and returns its slot. Whoever stands behind the gap
// and would no longer be found moves up.
func (m *Memory) unlink(id string) (slot uint32) {
	x := &m.index
	mask := uint64(len(x.table) - 1)
	gap, _ := m.place(id)
	slot = x.table[gap] - 1
	for next := (gap + 1) & mask; x.table[next] != 0; next = (next + 1) & mask {
		home := maphash.String(x.seed, m.at(x.table[next]-1).id) & mask
		if (next-home)&mask >= (next-gap)&mask {
			x.table[gap], gap = x.table[next], next
		}
	}
	x.table[gap] = 0
	x.count--
	return slot
}
