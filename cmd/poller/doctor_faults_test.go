package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/zim-presence/poller/internal/local/localtest"
	"github.com/zim-presence/poller/internal/zimsim"
	"github.com/zim-presence/poller/presence"
)

// quick is the timeout of trials that are bound to run into it.
const quick = "--timeout=2s"

// Each fault of the database is found, and its mend told, over the network as it is: a server that asks who comes.
func TestDoctorOfPostgres(t *testing.T) {
	t.Parallel()
	db := localtest.PostgresTCP(t, localtest.Access{HBA: "host all all all scram-sha-256"})
	db.Exec("create role daemon login password 'secret'", "create role reader login password 'secret' connection limit 3")
	db.Exec("create database presence owner daemon")
	at := func(user, password, database string) string {
		return "POLLER_DATABASE_URL=postgres://" + user + ":" + password + "@" + db.Addr() + "/" + database
	}
	w := newWorldOn(t, strings.TrimPrefix(at("daemon", "secret", "presence"), "POLLER_DATABASE_URL="))
	presenceDB := at("daemon", "secret", "presence")

	w.doctor(1, []string{at("daemon", "wrong", "presence")}).onlyFault("connection", "password authentication failed", "28P01", "correct user and password in database.url")
	w.doctor(1, []string{at("daemon", "secret", "elsewhere")}).onlyFault("connection", "3D000", "create the database")
	r := w.doctor(1, []string{"POLLER_DATABASE_URL=postgres://daemon:secret@no-such-host.invalid/presence"})
	r.onlyFault("connection", "look up no-such-host.invalid", "correct the host name in database.url")
	r.wants(verdictUntried, "version", "no connection")
	r.wants(verdictUntried, "query", "whether a daemon spends the app's budget cannot be seen")
	if n := w.zim.Stats().Arrivals; n != 0 {
		t.Errorf("%d requests were sent that nobody has noted", n)
	}
	r = w.doctor(0, []string{presenceDB})
	r.wants(verdictOK, "connection", "role daemon, database presence")
	r.wants(verdictOK, "rights", "role daemon may do all")

	proxy := localtest.NewProxy(t, "tcp", db.Addr())
	through := "POLLER_DATABASE_URL=postgres://daemon:secret@" + proxy.Addr() + "/presence?sslmode=disable"
	w.doctor(0, []string{through}).wants(verdictOK, "connection", "behind a pooler, or translated")
	proxy.Stall(localtest.ToClient)
	w.doctor(1, []string{through}, quick).onlyFault("connection", "no answer within 2s", "firewall")
	proxy.Resume()
	proxy.Refuse()
	w.doctor(1, []string{through}).onlyFault("connection", "database.url")
	proxy.Accept()
	w.hangs(proxy, through)

	// As little as a reader has: what is missing is named as the grants that mend it.
	readerDB := at("reader", "secret", "presence")
	db.Exec("grant connect on database presence to reader")
	owner := strings.TrimPrefix(presenceDB, "POLLER_DATABASE_URL=")
	statements(t, owner, "grant select on all tables in schema public to reader")
	r = w.doctor(1, []string{readerDB})
	r.onlyFault("rights", "role reader lacks insert on transitions; insert on snapshots", "grant insert on transitions to reader;", "grant execute on function ensure_partitions(integer) to reader;")
	r.wants(verdictWarning, "connections", "of 100 are left", "raise max_connections, or the limit of the role")
	r.wants(verdictUntried, "query", "lease was not to be had", "permission denied")
	for grant := range strings.SplitSeq(r.mendOf("rights"), "\n") {
		if sql, ok := strings.CutSuffix(grant, ";"); ok {
			statements(t, owner, sql)
		}
	}
	w.doctor(0, []string{readerDB}).wants(verdictOK, "rights")
	statements(t, owner, "revoke execute on function prune_transitions(interval, boolean) from public, reader")
	w.doctor(0, []string{readerDB}).wants(verdictWarning, "rights", "may not drop what is past its age", "poller prune daily")
}

// leave has somebody else hold the lease, who does nothing: so doctor need not wait for the budget each time.
func (w *world) leave() {
	w.exec(`insert into apps (app_id, owner, expires_at) values ($1, 'elsewhere', now() + interval '1 day')
		on conflict (app_id) do update set owner = excluded.owner, expires_at = excluded.expires_at`, worldApp)
}

// hangs has the server fall silent behind each of the first statements.
func (w *world) hangs(proxy *localtest.Proxy, through string) {
	proxy.SetHook(func(_ int, d localtest.Direction, data []byte) localtest.Verdict {
		if d == localtest.ToServer && bytes.Contains(data, []byte("has_schema_privilege(current_schema()")) {
			return localtest.Drop
		}
		return localtest.Pass
	})
	began := time.Now()
	r := w.doctor(1, []string{through}, quick)
	r.onlyFault("schema", "no answer within 2s", "locks, load, disk")
	r.wants(verdictUntried, "rights", "did not answer")
	r.wants(verdictOK, "version")
	if took := time.Since(began); took > 20*time.Second {
		w.t.Errorf("what hangs was waited for again and again: %s", took)
	}
	proxy.SetHook(nil)
}

// mendOf is the mend of a check's first fault.
func (r *examined) mendOf(check string) string {
	for _, f := range r.Findings {
		if f.Check == check && f.Verdict == verdictFault {
			return f.Mend
		}
	}
	return ""
}

// Each way in which a database can be set that a poller suffers from.
func TestDoctorOfSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := func(what string) {
		w.exec(`do $$ begin execute format('alter database %I ` + what + `', current_database()); end $$`)
	}
	set("set synchronous_commit = off")
	set("set statement_timeout = 5000")
	r := w.doctor(0, nil)
	r.wants(verdictWarning, "durability", "synchronous_commit", "set ", "= on")
	r.wants(verdictWarning, "timeouts", "statement_timeout is 5s, less than 2m0s", "alter role")
	set("reset synchronous_commit")
	set("reset statement_timeout")
	w.exec(readOnlyByDefault)
	w.doctor(1, nil).onlyFault("writable", "read-only", "default_transaction_read_only")
	w.exec(writableByDefault)

	w.exec(`insert into poller_migrations (version_id, is_applied) values (99, true)`)
	w.doctor(0, nil).wants(verdictWarning, "schema", "version 99", "newer program", "use the newer version")
	w.exec(`delete from poller_migrations where version_id in (99, (select max(version_id) from poller_migrations where version_id <> 99))`)
	asked := w.zim.Stats().Arrivals
	r = w.doctor(1, nil)
	r.onlyFault("schema", "and this program needs", "poller migrate")
	r.wants(verdictUntried, "rights", "older than this program")
	r.wants(verdictUntried, "query", "older than this program")
	if now := w.zim.Stats().Arrivals; now != asked {
		t.Errorf("%d requests were sent that nobody has noted", now-asked)
	}
	pooled := newWorld(t)
	pooler := localtest.NewPooler(t, pooled.dsn)
	pooled.doctor(0, []string{"POLLER_DATABASE_URL=" + pooler.DSN()}).wants(verdictOK, "connection", "behind a pooler")
}

// Each fault of NATS, and of what is in it.
func TestDoctorOfNATS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.leave()
	away := httptest.NewServer(nil)
	away.Close()
	refused := strings.TrimPrefix(away.URL, "http://")
	w.doctor(1, []string{"POLLER_NATS_URL=nats://" + refused}).onlyFault("connection", "refused", "start the server, or correct host and port in nats.url")
	w.doctor(1, []string{"POLLER_NATS_URL=nats://no-such-host.invalid:4222"}).onlyFault("connection", "no-such-host.invalid", "correct the host name in nats.url")
	r := w.doctor(0, []string{"POLLER_NATS_URL=" + w.nats.URL() + ",nats://user:hidden@" + refused})
	r.wants(verdictWarning, "server", refused, "start the server")
	r.wants(verdictOK, "jetstream", "the account has 0 B (no limit), 0 streams (no limit)")
	r.wants(verdictUntried, "sync_interval", "no client can see it")
	proxy := localtest.NewProxy(t, "tcp", strings.TrimPrefix(w.nats.URL(), "nats://"))
	proxy.Stall(localtest.ToClient)
	w.doctor(1, []string{"POLLER_NATS_URL=nats://" + proxy.Addr()}, quick).onlyFault("connection", "firewall")

	server := localtest.NATSConfigured(t, `authorization { user: poller, password: secret }`)
	as := func(who string) []string { return []string{"POLLER_NATS_URL=nats://" + who + "@" + server.Addr()} }
	w.doctor(1, as("poller:wrong")).onlyFault("connection", "Authorization", "correct user and password")
	server.Start(`
		accounts { A { users: [ { user: poller, password: secret } ] }, B { jetstream: { max_file: 10M, max_streams: 1 }, users: [ { user: other, password: secret } ] } }`)
	r = w.doctor(1, as("poller:secret"))
	r.onlyFault("jetstream", "no JetStream", "switch it on")
	r.wants(verdictUntried, "event stream", "there is no JetStream")
	w.doctor(0, as("other:secret")).wants(verdictOK, "jetstream", "0 streams of 1")
	server.Start(`max_payload: 1000`)
	w.doctor(1, as("a:b")).onlyFault("payload", "1000 bytes", "max_payload")
}

// Each way in which the streams can stand that a daemon would not tell anything.
func TestDoctorOfStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.watch("alice")
	w.set(map[string]zimsim.State{"alice": zimsim.Online})
	if out, code := w.run("sweep"); code != 0 {
		t.Fatal(out)
	}
	w.leave()
	w.doctor(0, nil).wants(verdictOK, "ledger and stream", "agree at event 1, and all is told")
	events, err := w.js.Stream(ctx, fmt.Sprint("PRESENCE_", worldApp))
	if err != nil {
		t.Fatal(err)
	}
	made := events.CachedInfo().Config
	altered := made
	altered.MaxMsgsPerSubject, altered.Description = 1, "mine"
	if _, err := w.js.UpdateStream(ctx, altered); err != nil {
		t.Fatal(err)
	}
	r := w.doctor(1, nil)
	r.onlyFault("event stream", "max_msgs_per_subject of PRESENCE_4000000001 is 1, not unlimited", "nats stream edit PRESENCE_4000000001 --max-msgs-per-subject=-1")
	r.wants(verdictWarning, "event stream", "description")
	made.MaxBytes = int64(events.CachedInfo().State.Bytes) + 1
	if _, err := w.js.UpdateStream(ctx, made); err != nil {
		t.Fatal(err)
	}
	made.MaxBytes = -1
	w.doctor(0, nil).wants(verdictWarning, "event stream", "nearly full", "raise max_bytes")
	if _, err := w.js.UpdateStream(ctx, made); err != nil {
		t.Fatal(err)
	}
	log := ""
	if err := w.pool.QueryRow(ctx, `select log from transitions`).Scan(&log); err != nil {
		t.Fatal(err)
	}
	w.exec(`update transitions set log = '00000000'`)
	w.doctor(1, nil).onlyFault("ledger and stream", "poller adopt --app 4000000001")
	w.exec(`update transitions set log = $1`, log)
	// Somebody else's message at the end, and then an event that the ledger does not have.
	ack, err := w.js.Publish(ctx, presence.Subject(worldApp, presence.KindOnline, "mallory"), []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	w.doctor(1, nil).onlyFault("ledger and stream", "somebody else writes to the stream", fmt.Sprintf("nats stream rmm PRESENCE_4000000001 %d", ack.Sequence))
	if err := events.DeleteMsg(ctx, ack.Sequence); err != nil {
		t.Fatal(err)
	}
	w.doctor(0, nil).wants(verdictOK, "ledger and stream", "agree")
	w.exec(`delete from transitions`)
	w.exec(`update apps set last_seq = 0`)
	w.doctor(1, nil).onlyFault("ledger and stream", "poller adopt --app 4000000001")
	// Another stream in the place of ours.
	for _, name := range []string{"PRESENCE_4000000001", "KV_presence_4000000001"} {
		if err := w.js.DeleteStream(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	w.doctor(0, nil).wants(verdictOK, "bucket", "KV_presence_4000000001 is not there yet")
	if _, err := w.js.CreateStream(ctx, jetstream.StreamConfig{Name: "ALL", Subjects: []string{"presence.v1.>"}}); err != nil {
		t.Fatal(err)
	}
	w.doctor(1, nil).onlyFault("event stream", "subjects of ALL", "nats stream edit ALL")
}

// Each fault on the way to ZIM, and each answer that is none.
func TestDoctorOfZIM(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.watch("alice")
	base := func(url string) []string { return []string{"POLLER_ZIM_BASE_URL=" + url} }
	w.doctor(1, []string{"POLLER_ZIM_SERVER_SECRET=00000000000000000000000000000000"}).onlyFault("query", "100000005", "server secret of the app")
	short := w.doctor(1, []string{"POLLER_ZIM_SERVER_SECRET=short"})
	short.wants(verdictWarning, "secret", "5 characters", "copy the ServerSecret")
	w.doctor(1, []string{"POLLER_ZIM_APP_ID=7"}).onlyFault("query")
	w.doctor(1, base("http://no-such-host.invalid")).onlyFault("dns", "no-such-host.invalid", "correct the host name in zim.base_url")
	away := httptest.NewServer(nil)
	away.Close()
	r := w.doctor(1, base(away.URL))
	r.onlyFault("tcp", "refused", "zim.base_url")
	r.wants(verdictUntried, "query", "ZIM was not reached")

	secure := zimsim.New(zimsim.Config{Apps: []zimsim.AppConfig{{ID: worldApp, Secret: worldSecret}}, TLS: true})
	if err := secure.Start(t.Context(), "127.0.0.1:0", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secure.Close)
	w.doctor(1, base(secure.URL())).onlyFault("tls", "unknown authority", "SSL_CERT_FILE")
	w.doctor(1, base(strings.Replace(w.sim.URL(), "http://", "https://", 1))).onlyFault("tls", "does not speak TLS there")
	// A handshake that nobody answers.
	proxy := localtest.NewProxy(t, "tcp", strings.TrimPrefix(secure.URL(), "https://"))
	proxy.Stall(localtest.ToClient)
	w.doctor(1, base("https://"+proxy.Addr()), quick).onlyFault("tls", "no answer within 2s", "firewall")

	w.sim.SetSkew(-time.Minute)
	w.doctor(0, nil).wants(verdictWarning, "clock", "ahead of ZIM's", "NTP")
	w.sim.SetSkew(11 * time.Minute)
	r = w.doctor(1, nil)
	r.wants(verdictFault, "clock", "behind ZIM's", "refuses every request")
	r.wants(verdictFault, "query", "100000004", "our clock is 66")
	w.sim.SetSkew(0)
	for _, fault := range []struct {
		zimsim.Fault
		says []string
	}{
		{zimsim.Fault{Kind: zimsim.HTTPError, Status: 503}, []string{"HTTP 503", "zim.base_url"}},
		{zimsim.Fault{Kind: zimsim.Code, Code: 660300005}, []string{"660300005", "zim.rate"}},
		{zimsim.Fault{Kind: zimsim.Code, Code: 100000017}, []string{"100000017", "enable the in-app chat service"}},
		{zimsim.Fault{Kind: zimsim.Code, Code: 1}, []string{"code 1", "try again"}},
		{zimsim.Fault{Kind: zimsim.HTML}, []string{"read the reply"}},
		{zimsim.Fault{Kind: zimsim.CutHeaders}, []string{"look at the network"}},
	} {
		asked := w.zim.Stats().Arrivals
		if err := w.sim.AddFaults(fault.Fault); err != nil {
			t.Fatal(err)
		}
		w.doctor(1, nil).onlyFault("query", fault.says...)
		if n := w.zim.Stats().Arrivals - asked; n != 1 {
			t.Errorf("%s: %d requests, want one that is not repeated", fault.Kind, n)
		}
		w.sim.ClearFaults()
	}
	if err := w.sim.AddFaults(zimsim.Fault{Kind: zimsim.Hang}); err != nil {
		t.Fatal(err)
	}
	w.doctor(1, nil, quick).onlyFault("query", "try again; if it stays so, look at the network")
	w.sim.ClearFaults()
	if most := w.zim.Stats().MostPerSecond; most > 20 {
		t.Errorf("%d requests in a second", most)
	}
}

// What is allowed and seldom meant; and what is called wrongly.
func TestDoctorOfConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`insert into watched_users (app_id, user_id) select $1, 'user-' || n from generate_series(1, 3000) n`, worldApp)
	r := w.doctor(0, []string{"POLLER_HTTP_LISTEN=:0", "POLLER_ZIM_RATE=25", "POLLER_SCHEDULE=@every 1s"})
	r.wants(verdictWarning, "http.listen", "on every address")
	r.wants(verdictWarning, "rate", "25 requests a second", "contract")
	r.wants(verdictWarning, "plan", "does not fit @every 1s", "zim.rate: ", "schedule: @every 2s")
	r.wants(verdictOK, "watchlist", "3,000 users")
	file := filepath.Join(t.TempDir(), "poller.yaml")
	if err := os.WriteFile(file, []byte("zim:\n  rate: -1\n  colour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = w.doctor(exitUsage, nil, "--config", file)
	r.wants(verdictFault, "settings", file+":2:", "rate: -1", "^")
	r.wants(verdictFault, "settings", "colour")
	for _, args := range [][]string{{"--app", "7"}, {"--timeout", "1ms"}, {"--from", "ftp://x"}, {"--config", file}} {
		var out, said bytes.Buffer
		if code := execute(context.Background(), append([]string{"doctor"}, args...), w.env, &out, &said); code != exitUsage || out.Len() > 0 || said.Len() == 0 {
			t.Errorf("poller doctor %v: exit code %d, %s%s", args, code, out.String(), said.String())
		}
	}
	var out, said bytes.Buffer
	code := execute(context.Background(), []string{"doctor"}, w.env, &out, &said)
	if text := out.String(); code != 0 || strings.Contains(text, "\x1b") || !strings.Contains(text, "\npostgres\n  ok       connection") || !strings.HasSuffix(text, " not tried\n") {
		t.Errorf("exit code %d:\n%s%s", code, text, said.String())
	}
}
