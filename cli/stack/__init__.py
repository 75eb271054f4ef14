"""The stack on one machine: Kafka, Flink, Redis and our own processes as children."""
