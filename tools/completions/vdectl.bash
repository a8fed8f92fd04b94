# SPDX-License-Identifier: Apache-2.0
# bash completion for vdectl

_vdectl_verbs()
{
    case $1 in
    "") echo "format info check capabilities checkpoint copy grow manifest scrub repair rescue dump volume snapshot namespace table file txn delta help" ;;
    dump) echo "superblock log tree alloc stream" ;;
    volume) echo "create clone list show read write import export map diff resize rename defrag delete" ;;
    snapshot) echo "create list rollback delete" ;;
    namespace) echo "create list show set drop" ;;
    table) echo "create list show files history add remove overwrite evolve diff tag changes restore undrop drop" ;;
    file) echo "put get list remove" ;;
    txn) echo "commit show" ;;
    delta) echo "import export" ;;
    esac
}

_vdectl_options()
{
    case $1 in
    "format") echo "--size --log-size --force --image --backend --wait --bytes --json --help" ;;
    "info") echo "--usage --image --backend --snapshot --wait --bytes --json --help" ;;
    "check") echo "--no-data --image --backend --wait --bytes --json --help" ;;
    "capabilities") echo "--image --json --help" ;;
    "checkpoint") echo "--image --backend --wait --bytes --json --help" ;;
    "copy") echo "--snapshot --size --read-only --force --damaged --image --backend --wait --bytes --json --help" ;;
    "manifest") echo "--image --backend --snapshot --wait --json --help" ;;
    "grow") echo "--size --image --backend --wait --bytes --json --help" ;;
    "scrub") echo "--rate --image --backend --wait --bytes --json --help" ;;
    "repair") echo "--apply --image --backend --wait --json --help" ;;
    "rescue") echo "--image --backend --wait --bytes --json --help" ;;
    "dump superblock") echo "--image --backend --wait --json --help" ;;
    "dump log") echo "--all --show-values --image --backend --wait --json --help" ;;
    "dump tree") echo "--snapshot --show-values --image --backend --wait --json --help" ;;
    "dump alloc") echo "--image --backend --wait --bytes --json --help" ;;
    "dump stream") echo "--from --show-values --image --backend --wait --json --help" ;;
    "volume create") echo "--size --compress --prealloc --image --backend --wait --json --help" ;;
    "volume clone") echo "--image --backend --wait --json --help" ;;
    "volume delete") echo "--if-exists --image --backend --wait --json --help" ;;
    "volume rename") echo "--image --backend --wait --json --help" ;;
    "volume resize") echo "--size --shrink --image --backend --wait --json --help" ;;
    "volume list") echo "--image --backend --snapshot --wait --bytes --json --help" ;;
    "volume show") echo "--image --backend --snapshot --wait --bytes --json --help" ;;
    "volume map") echo "--image --backend --snapshot --wait --bytes --json --help" ;;
    "volume diff") echo "--from --to --image --backend --snapshot --wait --bytes --json --help" ;;
    "volume read") echo "--offset --length --output --force --image --backend --snapshot --wait --json --help" ;;
    "volume export") echo "--force --image --backend --snapshot --wait --json --help" ;;
    "volume write") echo "--offset --image --backend --wait --json --help" ;;
    "volume import") echo "--size --compress --prealloc --image --backend --wait --json --help" ;;
    "volume defrag") echo "--limit-rate --image --backend --wait --bytes --json --help" ;;
    "snapshot create") echo "--image --backend --wait --json --help" ;;
    "snapshot delete") echo "--if-exists --image --backend --wait --json --help" ;;
    "snapshot list") echo "--unique --image --backend --snapshot --wait --bytes --json --help" ;;
    "snapshot rollback") echo "--drop-newer --image --backend --wait --json --help" ;;
    "namespace create") echo "--property --if-not-exists --image --backend --wait --json --help" ;;
    "namespace list") echo "--recursive --image --backend --snapshot --wait --json --help" ;;
    "namespace show") echo "--image --backend --snapshot --wait --json --help" ;;
    "namespace set") echo "--property --unset --image --backend --wait --json --help" ;;
    "namespace drop") echo "--if-exists --image --backend --wait --json --help" ;;
    "table create")
        echo "--schema --schema-file --partition-by --format --property --description --if-not-exists --image"
        echo "--backend --wait --json --help"
        ;;
    "table list") echo "--long --recursive --image --backend --snapshot --wait --bytes --json --help" ;;
    "table show") echo "--version --tag --timestamp --metadata-json --image --backend --snapshot --wait --bytes --json --help" ;;
    "table files")
        echo "--version --tag --timestamp --long --show-values --image --backend --snapshot --wait --bytes --json --help"
        ;;
    "table history")
        echo "--limit --oldest-first --from --to --since --until --image --backend --snapshot --wait --bytes --json"
        echo "--help"
        ;;
    "table add")
        echo "--partition --size --records --stats --no-data-change --read-version --expect-version"
        echo "--operation --idempotency-key --image --backend --wait --json --help"
        ;;
    "table remove")
        echo "--partition --no-data-change --read-version --expect-version --operation --idempotency-key"
        echo "--image --backend --wait --json --help"
        ;;
    "table overwrite")
        echo "--where --replace --partition --size --records --stats --read-version --expect-version --operation"
        echo "--idempotency-key --image --backend --wait --json --help"
        ;;
    "table evolve")
        echo "--schema --schema-file --add-column --property --unset --partition-by --unpartitioned --upgrade-protocol"
        echo "--expect-version --image --backend --wait --json --help"
        ;;
    "table diff") echo "--from --to --show-values --image --backend --snapshot --wait --bytes --json --help" ;;
    "table tag") echo "--delete --image --backend --wait --json --help" ;;
    "table changes") echo "--from --to --show-values --image --backend --snapshot --wait --json --help" ;;
    "table restore") echo "--version --tag --timestamp --dry-run --image --backend --wait --json --help" ;;
    "table undrop") echo "--as --list --image --backend --wait --json --help" ;;
    "table drop") echo "--purge --if-exists --image --backend --wait --json --help" ;;
    "file put") echo "--image --backend --wait --json --help" ;;
    "file get") echo "--force --image --backend --snapshot --wait --json --help" ;;
    "file list") echo "--long --image --backend --snapshot --wait --bytes --json --help" ;;
    "file remove") echo "--force --image --backend --wait --json --help" ;;
    "txn commit") echo "--file --batch --image --backend --wait --json --help" ;;
    "txn show") echo "--image --backend --snapshot --wait --json --help" ;;
    "delta import")
        echo "--table --create-namespace --reference --dry-run --image --backend --wait --bytes --json --help"
        ;;
    "delta export") echo "--log-only --from-state --strict --image --backend --snapshot --wait --bytes --json --help" ;;
    esac
}

# Words for the value of option $1; nothing where it is free text.
_vdectl_values()
{
    case $1 in
    --backend) echo "auto uring aio sync" ;;
    --compress) echo "none zstd zstd:1 zstd:9" ;;
    --format) echo "delta iceberg" ;;
    --wait) echo "0 1s 10s 30s 5m" ;;
    --limit) echo "0 20 100" ;;
    --to | --from) echo "latest" ;;
    esac
}

_vdectl()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} first=${COMP_WORDS[1]}
    local noun="" verb_at=1 verb
    COMPREPLY=()
    case $first in
    dump | volume | snapshot | namespace | table | file | txn | delta) noun=$first verb_at=2 ;;
    esac
    if ((COMP_CWORD == verb_at)); then
        mapfile -t COMPREPLY < <(compgen -W "$(_vdectl_verbs "$noun")" -- "$current")
        return
    fi
    ((COMP_CWORD == 1)) && return
    verb=${noun:+$noun }${COMP_WORDS[verb_at]}
    case $previous in
    -i | -o | --image | --file | --output | --schema-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
        ;;
    --backend | --compress | --format | --wait | --limit | --from | --to)
        mapfile -t COMPREPLY < <(compgen -W "$(_vdectl_values "$previous")" -- "$current")
        return
        ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_vdectl_options "$verb")" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

complete -o filenames -o bashdefault -F _vdectl vdectl
