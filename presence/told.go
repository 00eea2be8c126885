package presence

// Told is an event as the stream or the bucket holds it.
type Told struct {
	// StreamSeq is its place in the stream that holds it.
	StreamSeq uint64
	Seq       int64 // its Presence-Seq
	ID        string
	Subject   string // in that stream
	Data      []byte
}
