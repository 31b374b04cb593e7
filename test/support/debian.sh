# Where this machine has its Debian packages from, for scripts to source: no mirror is named in this tree.

# Prints 'URI SUITE KEYRING' of each entry of apt's own configuration whose suite is of the release CODENAME.
debian_mirrors() # CODENAME
{
    local file
    for file in /etc/apt/sources.list.d/*.sources; do
        [[ -r $file ]] && awk -v codename="$1" '
            function entry(    i, j, u, s)
            {
                if (types ~ /(^| )deb( |$)/ && enabled != "no")
                    for (i = split(uris, u, " "); i > 0; --i)
                        for (j = split(suites, s, " "); j > 0; --j)
                            if (s[j] ~ "^" codename "(-security|-updates)?$")
                                print u[i], s[j], key
                types = uris = suites = key = enabled = ""
            }
            /^#/ { next }
            /^Types:/ { $1 = ""; types = $0 }
            /^URIs:/ { $1 = ""; uris = $0 }
            /^Suites:/ { $1 = ""; suites = $0 }
            /^Signed-By:/ { key = $2 }
            /^Enabled:/ { enabled = $2 }
            /^[ \t]*$/ { entry() }
            END { entry() }' "$file"
    done
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [[ -r $file ]] && awk -v codename="$1" '
            $1 == "deb" {
                key = ""
                if (match($0, /signed-by=[^] ]*/))
                    key = substr($0, RSTART + 10, RLENGTH - 10)
                sub(/\[[^]]*\] */, "")
                if ($3 ~ "^" codename "(-security|-updates)?$")
                    print $2, $3, key
            }' "$file"
    done
    return 0
}

# Gets and unpacks the source of PACKAGE into DIRECTORY/source, with lists of its own: apt's stay as they are.
# Fails, with the reason on the standard error, where it cannot be had.
debian_source() # PACKAGE DIRECTORY
{
    local package=$1 directory=$2 codename uri suite key apt
    [[ -d $directory/source ]] && return 0
    command -v apt-get > /dev/null || { echo "no apt-get: this is no Debian" >&2; return 1; }
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    apt=$(readlink -m "$directory")/apt
    rm -rf "$apt" "$directory/download"
    mkdir -p "$apt"/{lists/partial,cache/archives/partial} "$directory/download"
    debian_mirrors "$codename" | while read -r uri suite key; do
        echo "deb-src [${key:+signed-by=$key}] $uri $suite main"
    done | sed 's/ \[\] / /' | sort -u > "$apt/sources.list"
    [[ -s $apt/sources.list ]] || { echo "apt's configuration names no mirror of $codename" >&2; return 1; }
    (
        cd "$directory/download" || exit
        options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o "Dir::Etc::sourceparts=/dev/null"
            -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "APT::Sandbox::User=$(id -un)"
            -o "Acquire::Languages=none" -o "Acquire::Retries=2")
        apt-get -q "${options[@]}" update && apt-get -q "${options[@]}" --download-only source "$package" \
            && dpkg-source --no-check -x ./*.dsc source
    ) >&2 || { echo "the source of $package cannot be had from the mirrors of $apt/sources.list" >&2; return 1; }
    mv "$directory/download/source" "$directory/source"
}
