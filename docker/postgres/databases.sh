#!/bin/sh
# Runs once, on an empty volume: MLflow keeps its records beside Dagster's.
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
  --command='CREATE DATABASE mlflow'
