//! What a worker is: executors, work sources, the step journal and the loop.
