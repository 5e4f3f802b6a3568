//! What can go wrong with a database, and what it means for the task.
