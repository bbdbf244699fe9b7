#!/bin/sh
# One user and one database for each service, and nobody in another's: the official Postgres image
# runs this once, when its data folder is new (/docker-entrypoint-initdb.d). Run by hand against any
# server, with psql's own variables (PGHOST, PGPORT, PGPASSWORD) and POSTGRES_USER, a superuser:
#
#   ORDER_PASSWORD=… PAYMENT_PASSWORD=… … AUDITOR_PASSWORD=… deploy/postgres/init.sh
#
# Each user's password is in the variable named after it, and each is required. Run again, it sets
# the passwords and rights again and leaves the data alone. It needs psql 14 and Postgres 14.
set -eu

services="order payment bank inventory notification query gateway"

# Runs what comes by standard input. A password goes through the environment: arguments of a process
# can be read by everybody on the machine.
run() {
  database=$1
  shift
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" \
    --dbname "$database" "$@"
}

# Makes the user, or sets its password again.
make_user() {
  variable=$(printf '%s_PASSWORD' "$1" | tr '[:lower:]' '[:upper:]')
  eval "password=\${$variable:-}"
  if [ -z "$password" ]; then
    echo "init.sh: $variable is not set: every user needs a password of its own" >&2
    exit 1
  fi
  NEW_PASSWORD=$password run postgres --set name="$1" <<'SQL'
-- No password in the server's log.
SET log_statement TO none;
SET log_min_duration_statement TO -1;
SET log_min_error_statement TO panic;
\getenv password NEW_PASSWORD
SELECT format('CREATE ROLE %I', :'name') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'name') \gexec
ALTER ROLE :"name" WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
SQL
}

# Makes the service's database, which sorts text by bytes, and closes it to all others.
make_database() {
  run postgres --set name="$1" <<'SQL'
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING ''UTF8'' LC_COLLATE ''C'' LC_CTYPE ''C''',
              :'name', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
ALTER DATABASE :"name" OWNER TO :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO auditor;
SQL
  run "$1" --set name="$1" <<'SQL'
ALTER SCHEMA public OWNER TO :"name";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SQL
}

# First all that may fail for want of a password, so that nothing is left half done.
for name in $services auditor; do make_user "$name"; done
for name in $services; do make_database "$name"; done

run postgres <<'SQL'
-- Reads everything, writes nothing: neither by right nor by habit.
GRANT pg_read_all_data TO auditor;
ALTER ROLE auditor SET default_transaction_read_only TO on;
-- The databases that every server has are nobody's meeting place.
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
REVOKE ALL ON DATABASE template1 FROM PUBLIC;
SQL
