//! The images: one a program.

/// What goes into an image besides what all of them hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    /// Name of the image and of its program.
    pub(crate) name: &'static str,
    /// Package of the workspace that builds the program.
    pub(crate) package: &'static str,
    /// One line for people who list images.
    pub(crate) description: &'static str,
    /// Further names of the program on `PATH`.
    pub(crate) links: &'static [&'static str],
    /// Ports that it listens on by default.
    pub(crate) ports: &'static [&'static str],
}

/// Every image of the project.
pub(crate) const RECIPES: [Recipe; 6] = [
    Recipe {
        name: "llmd",
        package: "llmd-cli",
        description: "The llmd command: render, explain and try LLM serving stacks",
        links: &[],
        ports: &[],
    },
    Recipe {
        name: "llmd-controller",
        package: "llmd-controller",
        description: "Kubernetes controller of LLMInferenceService",
        links: &[],
        ports: &["8443/tcp", "9443/tcp"],
    },
    Recipe {
        name: "llmd-engine",
        package: "llmd-engine",
        description: "OpenAI-compatible inference server with paged KV cache and KV transfer",
        // Manifests written for vLLM start `vllm serve MODEL`.
        links: &["vllm"],
        ports: &["8000/tcp"],
    },
    Recipe {
        name: "llmd-epp",
        package: "llmd-epp",
        description: "Endpoint picker: Envoy ext_proc service and native HTTP proxy",
        links: &[],
        ports: &["9002/tcp", "9003/tcp", "9090/tcp"],
    },
    Recipe {
        name: "llmd-sidecar",
        package: "llmd-sidecar",
        description: "Prefill/decode routing proxy beside a decode engine",
        links: &[],
        ports: &["8000/tcp"],
    },
    Recipe {
        name: "llmd-storage",
        package: "llmd-storage",
        description: "Storage initializer: downloads models before a pod serves them",
        links: &[],
        ports: &[],
    },
];
