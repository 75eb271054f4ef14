#!/bin/sh
# Starts a part of Flink, with the commands of Flink's own image, which its operator also uses.
# Settings are /opt/flink/conf/config.yaml; those of the command line (-D name=value) win.
set -eu

command=${1:-help}
[ $# -eq 0 ] || shift
case "$command" in
  jobmanager | taskmanager) exec "$FLINK_HOME/bin/$command.sh" start-foreground "$@" ;;
  standalone-job) exec "$FLINK_HOME/bin/standalone-job.sh" start-foreground "$@" ;;
  help) echo "commands: jobmanager, taskmanager, standalone-job, or a program of the image" ;;
  *) exec "$command" "$@" ;;
esac
