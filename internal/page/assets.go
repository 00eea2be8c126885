package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assets embed.FS

// asset is one file of the page.
type asset struct {
	kind          string // Content-Type
	etag          string
	plain, zipped []byte // zipped is nil where that is not shorter
}

// newAssets returns the files by the path at which they are served.
func newAssets(files fs.FS) (map[string]*asset, error) {
	all := map[string]*asset{}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		it := &asset{kind: contentType(name), etag: hex.EncodeToString(sum[:12]), plain: text}
		if zipped := compress(text); len(zipped) < len(text)*9/10 {
			it.zipped = zipped
		}
		all["/page/"+name] = it
		if name == "index.html" {
			all["/"] = it
		}
		return nil
	})
	return all, err
}

// contentType is by the name's ending; what the system says of it is not asked.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".json":
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// ServeHTTP sends the file, unless the browser has it.
func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	body, tag := a.plain, `"`+a.etag+`"`
	if a.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if takesGzip(r) {
			body, tag = a.zipped, `"`+a.etag+`-gzip"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Cache-Control", "no-cache") // kept, and asked about each time
	h.Set("Etag", tag)
	if has(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.kind)
	send(w, body)
}

// has tells whether a list of tags has one.
func has(list, tag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}
