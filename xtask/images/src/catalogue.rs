//! The images: one a program, and one with a model.

/// One image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    /// Name of the image, and of its program if it has one.
    pub(crate) name: &'static str,
    /// One line for people who list images.
    pub(crate) description: &'static str,
    pub(crate) content: Content,
}

/// What an image is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    /// To be run.
    Program(Program),
    /// To be mounted: nothing in it runs.
    Model(Model),
}

/// What goes into the image of a program besides what all of them hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    /// Package of the workspace that builds the program.
    pub(crate) package: &'static str,
    /// Further names of the program on `PATH`.
    pub(crate) links: &'static [&'static str],
    /// Ports that it listens on by default.
    pub(crate) ports: &'static [&'static str],
}

/// A model of the repository.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    /// Its folder in the repository.
    pub(crate) folder: &'static str,
    /// What of the folder is needed to serve it.
    pub(crate) files: &'static [&'static str],
}

impl Recipe {
    /// The program, unless the image has none.
    pub(crate) fn program(&self) -> Option<&Program> {
        match &self.content {
            Content::Program(program) => Some(program),
            Content::Model(_) => None,
        }
    }
}

/// Every image of the project.
pub(crate) const RECIPES: [Recipe; 7] = [
    Recipe {
        name: "llmd",
        description: "The llmd command: render, explain and try LLM serving stacks",
        content: Content::Program(Program { package: "llmd-cli", links: &[], ports: &[] }),
    },
    Recipe {
        name: "llmd-controller",
        description: "Kubernetes controller of LLMInferenceService",
        content: Content::Program(Program {
            package: "llmd-controller",
            links: &[],
            ports: &["8443/tcp", "9443/tcp"],
        }),
    },
    Recipe {
        name: "llmd-engine",
        description: "OpenAI-compatible inference server with paged KV cache and KV transfer",
        content: Content::Program(Program {
            package: "llmd-engine",
            // Manifests written for vLLM start `vllm serve MODEL`.
            links: &["vllm"],
            ports: &["8000/tcp"],
        }),
    },
    Recipe {
        name: "llmd-epp",
        description: "Endpoint picker: Envoy ext_proc service and native HTTP proxy",
        content: Content::Program(Program {
            package: "llmd-epp",
            links: &[],
            ports: &["9002/tcp", "9003/tcp", "9090/tcp"],
        }),
    },
    Recipe {
        name: "llmd-sidecar",
        description: "Prefill/decode routing proxy beside a decode engine",
        content: Content::Program(Program { package: "llmd-sidecar", links: &[], ports: &["8000/tcp"] }),
    },
    Recipe {
        name: "llmd-storage",
        description: "Storage initializer: downloads models before a pod serves them",
        content: Content::Program(Program { package: "llmd-storage", links: &[], ports: &[] }),
    },
    Recipe {
        name: "llmd-tiny",
        description: "Demo chat model of 3 million parameters, as an image volume",
        content: Content::Model(Model {
            folder: "assets/models/llmd-tiny",
            files: &[
                "README.md",
                "config.json",
                "generation_config.json",
                "model.safetensors",
                "tokenizer.json",
                "tokenizer_config.json",
            ],
        }),
    },
];
