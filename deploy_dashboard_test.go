package poller_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is one of Grafana, as far as this test looks at it.
type dashboard struct {
	Title         string `json:"title"`
	UID           string `json:"uid"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name       string     `json:"name"`
			Type       string     `json:"type"`
			Definition string     `json:"definition"`
			Datasource datasource `json:"datasource"`
		} `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []target `json:"list"`
	} `json:"annotations"`
	Panels []panel `json:"panels"`
}

type datasource struct {
	UID string `json:"uid"`
}

type target struct {
	RefID      string     `json:"refId"`
	Datasource datasource `json:"datasource"`
	Expr       string     `json:"expr"`
	Legend     string     `json:"legendFormat"`
}

type panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Datasource  datasource `json:"datasource"`
	Targets     []target   `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

func grafana(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/poller.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 41 || len(d.Panels) == 0 {
		t.Fatalf("dashboard %q %q of version %d with %d panels", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	return d
}

// Each panel of the dashboard asks for what is exported, from the data source that is chosen, and says what
// it shows and in which unit.
func TestDeployDashboardAsks(t *testing.T) {
	metrics := exported(t)
	var variables []string
	d := grafana(t)
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name+" "+v.Type)
		if v.Type == "query" {
			checkQuery(t, "the variable "+v.Name, v.Definition, metrics, nil)
		}
	}
	if want := []string{"datasource datasource", "app query", "instance query"}; !slices.Equal(variables, want) {
		t.Errorf("variables %v, want %v", variables, want)
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			checkQuery(t, "an annotation", a.Expr, metrics, nil)
		}
	}
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%q lacks a description, a unit, a query, or the data source that is chosen", p.Title)
		}
		var refs []string
		for _, q := range p.Targets {
			checkQuery(t, p.Title, q.Expr, metrics, nil)
			checkLegend(t, p.Title, q)
			if q.Datasource.UID != "${datasource}" || slices.Contains(refs, q.RefID) {
				t.Errorf("%q: query %q asks another data source, or has the name of another query", p.Title, q.RefID)
			}
			refs = append(refs, q.RefID)
		}
	}
}

// checkLegend refuses a label in the legend that the query has left out.
func checkLegend(t *testing.T, title string, q target) {
	t.Helper()
	by := regexp.MustCompile(`\b(?:sum|max|min|count) by \(([^)]*)\)`).FindStringSubmatch(q.Expr)
	for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(q.Legend, -1) {
		if by != nil && !slices.Contains(strings.Split(by[1], ", "), m[1]) {
			t.Errorf("%q: the legend has %s, by which %q does not group", title, m[1], q.Expr)
		}
	}
}

// No two panels have one id, or lie over each other, and none is outside.
func TestDeployDashboardLayout(t *testing.T) {
	type cell struct{ x, y int }
	taken, ids, titles := map[cell]string{}, map[int]bool{}, map[string]bool{}
	for _, p := range grafana(t).Panels {
		if p.ID == 0 || ids[p.ID] || p.Title == "" || titles[p.Title] {
			t.Errorf("panel %d %q has no id or title of its own", p.ID, p.Title)
		}
		ids[p.ID], titles[p.Title] = true, true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
			t.Errorf("%q lies at %+v, which is not within 24 columns", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, lies := taken[cell{x, y}]; lies {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				taken[cell{x, y}] = p.Title
			}
		}
	}
}
