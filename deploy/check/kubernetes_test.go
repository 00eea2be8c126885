package check

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// built is what kustomize makes of a directory, by kind and name.
func built(t *testing.T, dir string) map[string]runtime.Object {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join("../kubernetes", dir))
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		apps.AddToScheme, batch.AddToScheme, core.AddToScheme, networking.AddToScheme, policy.AddToScheme, monitoring.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	// Strict: a key that there is not, or twice, is refused.
	read := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	all := map[string]runtime.Object{}
	for _, r := range made.Resources() {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		o, _, err := read.Decode(text, nil, nil)
		if err != nil {
			t.Errorf("%s %s of %s: %v", r.GetKind(), r.GetName(), dir, err)
			continue
		}
		all[r.GetKind()+" "+r.GetName()] = o
	}
	return all
}

func find[T runtime.Object](t *testing.T, all map[string]runtime.Object) (found T) {
	t.Helper()
	n := 0
	for _, o := range all {
		if one, ok := o.(T); ok {
			found = one
			n++
		}
	}
	if n != 1 {
		t.Fatalf("there are %d of %T", n, found)
	}
	return found
}

func TestKubernetes(t *testing.T) {
	base := built(t, "base")
	if _, ok := base["Deployment poller"]; !ok {
		t.Errorf("base has %v", slices.Sorted(maps.Keys(base)))
	}
	all := built(t, "overlays/example")
	daemon := find[*apps.Deployment](t, all)
	pod := daemon.Spec.Template
	for what, selects := range map[string]map[string]string{
		"Deployment":          daemon.Spec.Selector.MatchLabels,
		"Service":             find[*core.Service](t, all).Spec.Selector,
		"PodDisruptionBudget": find[*policy.PodDisruptionBudget](t, all).Spec.Selector.MatchLabels,
		"NetworkPolicy":       find[*networking.NetworkPolicy](t, all).Spec.PodSelector.MatchLabels,
		"spread":              pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if !labels.SelectorFromSet(selects).Matches(labels.Set(pod.Labels)) {
			t.Errorf("%s selects %v, the pod has %v", what, selects, pod.Labels)
		}
	}
	service := find[*core.Service](t, all)
	monitor := find[*monitoring.ServiceMonitor](t, all)
	if !labels.SelectorFromSet(monitor.Spec.Selector.MatchLabels).Matches(labels.Set(service.Labels)) || monitor.Spec.Endpoints[0].Port != service.Spec.Ports[0].Name {
		t.Errorf("the ServiceMonitor does not find the service")
	}
	if migrating := find[*batch.Job](t, all).Spec.Template; labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(migrating.Labels)) {
		t.Errorf("the Service takes the migration for a daemon")
	}
	budget := find[*policy.PodDisruptionBudget](t, all)
	if *daemon.Spec.Replicas != 2 || budget.Spec.MinAvailable.IntValue() != 1 {
		t.Errorf("%d replicas, of which %d must stay", *daemon.Spec.Replicas, budget.Spec.MinAvailable.IntValue())
	}
	checkPod(t, all, pod.Spec)
	checkPod(t, all, find[*batch.Job](t, all).Spec.Template.Spec)
	checkProbes(t, pod.Spec.Containers[0])
	checkSecrets(t, all, pod.Spec)
}

// checkPod holds a pod against the standard "restricted", and looks for what it mounts.
func checkPod(t *testing.T, all map[string]runtime.Object, pod core.PodSpec) {
	if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser != 65532 || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod is not confined: %v", s)
	}
	if *pod.AutomountServiceAccountToken || pod.HostNetwork || pod.HostPID {
		t.Error("the pod has more of its host than it needs")
	}
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		s := c.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("%s is not confined: %v", c.Name, s)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s says nothing of what it takes", c.Name)
		}
		if _, tag, found := strings.Cut(c.Image, ":"); !found || tag == "latest" {
			t.Errorf("%s: the image %s is of no version", c.Name, c.Image)
		}
	}
	for _, v := range pod.Volumes {
		if v.ConfigMap != nil && all["ConfigMap "+v.ConfigMap.Name] == nil || v.Secret != nil && all["Secret "+v.Secret.SecretName] == nil {
			t.Errorf("volume %s: there is no such thing", v.Name)
		}
	}
}

func checkProbes(t *testing.T, c core.Container) {
	for path, probe := range map[string]*core.Probe{"/healthz": c.LivenessProbe, "/readyz": c.ReadinessProbe} {
		if probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != c.Ports[0].Name {
			t.Errorf("%s is asked at %s, port %s", path, probe.HTTPGet.Path, probe.HTTPGet.Port.String())
		}
	}
}

// checkSecrets looks for each secret file that the configuration names.
func checkSecrets(t *testing.T, all map[string]runtime.Object, pod core.PodSpec) {
	keys, config := map[string]bool{}, ""
	for _, v := range pod.Volumes {
		switch {
		case v.Secret != nil:
			for key := range all["Secret "+v.Secret.SecretName].(*core.Secret).Data {
				keys["/etc/poller-secrets/"+key] = true
			}
		case v.ConfigMap != nil:
			config = all["ConfigMap "+v.ConfigMap.Name].(*core.ConfigMap).Data["poller.yaml"]
		}
	}
	named := 0
	for line := range strings.Lines(config) {
		if key, file, found := strings.Cut(strings.TrimSpace(line), "_file: "); found {
			named++
			if !keys[file] {
				t.Errorf("%s_file is %s, and the Secret has %v", key, file, keys)
			}
		}
	}
	if named != len(keys) {
		t.Errorf("the configuration names %d files, the Secret has %d", named, len(keys))
	}
}
