package main

import (
	"context"
	"fmt"
	"io"

	"github.com/rs/zerolog"

	"github.com/zim-presence/poller/internal/watchlist"
)

// watchCmd is poller watch: the watchlist, for people. Other programs write the table watched_users. A daemon notices
// what changed with its next sweep.
type watchCmd struct {
	Add    watchAddCmd    `cmd:"" help:"Watch users."`
	Remove watchRemoveCmd `cmd:"" help:"Stop watching users."`
	Import watchImportCmd `cmd:"" help:"Watch the users in a file."`
	Export watchExportCmd `cmd:"" help:"Write the watched users to a file."`
	List   watchListCmd   `cmd:"" help:"Show watched users, their last told status, and what is wrong with an id."`
	Count  watchCountCmd  `cmd:"" help:"Count the watched users."`
}

// watchFlags are the flags that every watch command has.
type watchFlags struct {
	App uint32 `placeholder:"ID" help:"App whose list it is; needed when several are configured."`
}

// appList is the watchlist of one app in an open database.
type appList struct {
	*watchlist.Watchlist
	app uint32
	db  *database
}

// with opens the list, does the work and closes. The configuration needs no more than the database; where it has apps,
// the list must be of one of them.
func (w watchFlags) with(ctx context.Context, g *globals, work func(appList) error) (err error) {
	cfg, err := g.load(needDatabase)
	if err != nil {
		return err
	}
	app := w.App
	if app == 0 || len(cfg.Apps) > 0 {
		configured, err := cfg.app(app)
		if err != nil {
			return err
		}
		app = configured.AppID
	}
	db, err := openDatabase(ctx, cfg, zerolog.Nop())
	if err != nil {
		return err
	}
	defer closing(&err, db.Close)
	defer g.attend(&err, db.vacant)()
	if err := db.reach(ctx); err != nil {
		return err
	}
	return work(appList{watchlist.New(db.Pool), app, db})
}

// warnInvalid shows the first invalid ids, one a line.
func warnInvalid(w io.Writer, examples []watchlist.Invalid, count int) {
	for _, bad := range examples {
		if bad.Line > 0 {
			fmt.Fprintf(w, "line %d: ", bad.Line)
		}
		fmt.Fprintf(w, "%s: %s\n", bad.ID, bad.Reason)
	}
	if more := count - len(examples); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
}

// warnLong speaks of ids that only the newer of ZIM's documents allow.
func warnLong(w io.Writer, long int) {
	if long > 0 {
		fmt.Fprintf(w, "warning: ids over 32 bytes: %d; ZIM may know no such users\n", long)
	}
}
