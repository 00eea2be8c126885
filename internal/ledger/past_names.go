package ledger

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Names yields the number and the id of everybody who has one, watched or not,
// in no order. Who was erased has none any more. The bytes are valid during the
// call alone.
func (p *Past) Names(ctx context.Context, yield func(no uint32, id []byte)) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := p.db.Query(ctx, `select user_no, user_id from user_states where app_id = $1`,
		pgx.QueryResultFormats{pgx.BinaryFormatCode, pgx.BinaryFormatCode}, int64(p.ledger.app))
	if err != nil {
		return fmt.Errorf("read the names of app %d: %w", p.ledger.app, err)
	}
	defer rows.Close()
	for rows.Next() {
		row := rows.RawValues()
		yield(binary.BigEndian.Uint32(row[0]), row[1])
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the names of app %d: %w", p.ledger.app, err)
	}
	return nil
}

// NamesOf returns the ids of certain users by number, as far as they have one.
func (p *Past) NamesOf(ctx context.Context, numbers []uint32) (map[uint32]string, error) {
	signed := make([]int32, len(numbers))
	for i, no := range numbers {
		signed[i] = int32(no)
	}
	names := make(map[uint32]string, len(numbers))
	err := p.some(ctx, `user_no = any($2)`, signed, func(no uint32, id string) { names[no] = id })
	return names, err
}

// NumbersOf returns the numbers of certain users by id, as far as they have one.
func (p *Past) NumbersOf(ctx context.Context, ids []string) (map[string]uint32, error) {
	numbers := make(map[string]uint32, len(ids))
	err := p.some(ctx, `user_id = any($2)`, ids, func(no uint32, id string) { numbers[id] = no })
	return numbers, err
}

func (p *Past) some(ctx context.Context, which string, arg any, found func(no uint32, id string)) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	rows, err := p.db.Query(ctx, `select user_no, user_id from user_states where app_id = $1 and `+which, int64(p.ledger.app), arg)
	if err != nil {
		return fmt.Errorf("read names of app %d: %w", p.ledger.app, err)
	}
	var no uint32
	var id string
	if _, err := pgx.ForEachRow(rows, []any{&no, &id}, func() error { found(no, id); return nil }); err != nil {
		return fmt.Errorf("read names of app %d: %w", p.ledger.app, err)
	}
	return nil
}
