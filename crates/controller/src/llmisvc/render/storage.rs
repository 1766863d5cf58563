//! How the model's files get into the pods: volumes, init containers, environment.
