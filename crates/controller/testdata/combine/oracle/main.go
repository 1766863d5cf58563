// Writes what KServe makes of services: the merged and rendered spec, one YAML file a service.
//
//	main PRESETS SERVICES OUT
//
// PRESETS is a folder of LLMInferenceServiceConfigs that go into the system namespace. SERVICES holds one file a
// case: an LLMInferenceService, optionally followed by configs of its own namespace. A service annotation
// `oracle/tls: "true"` turns TLS on. Every text longer than 160 bytes, and every route rule as JSON with sorted
// keys, is replaced by `sha256:` and its hash: the outcome can be compared without repeating the presets.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	_ "unsafe" // for the link to the method below

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"github.com/kserve/kserve/pkg/apis/serving/v1alpha2"
	"github.com/kserve/kserve/pkg/controller/v1alpha2/llmisvc"
)

//go:linkname combine github.com/kserve/kserve/pkg/controller/v1alpha2/llmisvc.(*LLMISVCReconciler).combineBaseRefsConfig
func combine(r *llmisvc.LLMISVCReconciler, ctx context.Context, service *v1alpha2.LLMInferenceService, config *llmisvc.Config, options ...llmisvc.CombineOption) (*llmisvc.CombinedConfig, error)

const system = "kserve"

type result struct {
	Error   string                            `json:"error,omitempty"`
	Applied []v1alpha2.AppliedConfigRef       `json:"applied,omitempty"`
	Spec    *v1alpha2.LLMInferenceServiceSpec `json:"spec,omitempty"`
}

func main() {
	presets := load(os.Args[1])
	for name, documents := range load(os.Args[2]) {
		write(filepath.Join(os.Args[3], name), run(presets, documents))
	}
}

func run(presets map[string][]string, documents []string) result {
	scheme := runtime.NewScheme()
	must(v1alpha2.AddToScheme(scheme))
	service := &v1alpha2.LLMInferenceService{}
	must(yaml.Unmarshal([]byte(documents[0]), service))
	if service.Namespace == "" {
		service.Namespace = "models"
	}
	service.SetDefaults(context.Background())

	var objects []client.Object
	for _, preset := range presets {
		objects = append(objects, config(preset[0], system))
	}
	for _, document := range documents[1:] {
		objects = append(objects, config(document, service.Namespace))
	}
	reconciler := &llmisvc.LLMISVCReconciler{
		Client:        clientfake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(),
		Clientset:     fake.NewSimpleClientset(),
		EventRecorder: record.NewFakeRecorder(100),
		Validator:     func(context.Context, *v1alpha2.LLMInferenceService) error { return nil },
	}
	combined, err := combine(reconciler, context.Background(), service, &llmisvc.Config{
		SystemNamespace:             system,
		IngressGatewayName:          "kserve-ingress-gateway",
		IngressGatewayNamespace:     system,
		EnableTLS:                   service.Annotations["oracle/tls"] == "true",
		ModelBasedRoutingHeaderName: "X-Gateway-Model-Name",
	})
	if err != nil {
		return result{Error: err.Error()}
	}
	return result{Applied: combined.AppliedConfigRefs, Spec: &combined.Config.Spec}
}

func config(document, namespace string) client.Object {
	config := &v1alpha2.LLMInferenceServiceConfig{}
	must(yaml.Unmarshal([]byte(document), config))
	config.ObjectMeta = metav1.ObjectMeta{Name: config.Name, Namespace: namespace}
	return config
}

func load(folder string) map[string][]string {
	files := map[string][]string{}
	paths, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	must(err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		must(err)
		files[filepath.Base(path)] = strings.Split(string(text), "\n---\n")
	}
	return files
}

func write(path string, outcome result) {
	text, err := yaml.Marshal(outcome)
	must(err)
	var document any
	must(yaml.Unmarshal(text, &document))
	text, err = yaml.Marshal(shorten(document))
	must(err)
	must(os.WriteFile(path, text, 0o644))
}

func shorten(value any) any {
	switch value := value.(type) {
	case string:
		if len(value) > 160 {
			return hash([]byte(value))
		}
	case []any:
		for i := range value {
			value[i] = shorten(value[i])
		}
	case map[string]any:
		for key := range value {
			if rules, ok := value[key].([]any); ok && key == "rules" {
				for i := range rules {
					text, err := json.Marshal(rules[i])
					must(err)
					rules[i] = hash(text)
				}
			}
			value[key] = shorten(value[key])
		}
	}
	return value
}

func hash(text []byte) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(text))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
