package stripe

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	careforall "careforall.org/go"
)

// signatures.json of tests/vectors, told in docs/vectors.md, by this binding: one subtest per vector. The other files
// are run by the package above.

type signatureVector struct {
	Name, About, Status, Field  string
	Secrets                     []string
	NowS                        int64 `json:"now_s"`
	Body                        *string
	BodyBase64                  []byte `json:"body_base64"`
	Header, Template, Diagnosis string
	Exact                       bool
	Signed                      []struct {
		Secret  string
		OffsetS int64 `json:"offset_s"`
		Body    *string
	}
}

func (v *signatureVector) body() []byte {
	if v.Body != nil {
		return []byte(*v.Body)
	}
	return v.BodyBase64
}

// leftOut need a clock that stands still; every other vector is run.
var leftOut = map[string]bool{"good-299-seconds-old": true, "good-300-seconds-old": true,
	"good-300-seconds-ahead": true, "too-old-301-seconds": true, "from-the-future-301-seconds": true}

var placeholder = regexp.MustCompile(`\{(?:(t)([+-]\d+)?|(\d+))\}`)

// render writes the vector's header as it would be at another time.
func (v *signatureVector) render(nowS int64) []byte {
	return placeholder.ReplaceAllFunc([]byte(v.Template), func(match []byte) []byte {
		parts := placeholder.FindSubmatch(match)
		if len(parts[1]) > 0 {
			offset, _ := strconv.ParseInt(string(parts[2]), 10, 64)
			return []byte(strconv.FormatInt(nowS+offset, 10))
		}
		index, _ := strconv.Atoi(string(parts[3]))
		one, body := v.Signed[index], v.body()
		if one.Body != nil {
			body = []byte(*one.Body)
		}
		code := hmac.New(sha256.New, []byte(one.Secret))
		code.Write([]byte(strconv.FormatInt(nowS+one.OffsetS, 10) + "."))
		code.Write(body)
		return []byte(hex.EncodeToString(code.Sum(nil)))
	})
}

func (v *signatureVector) run(t *testing.T, message string) {
	if v.Exact {
		t.Skip("needs a clock that stands still")
	}
	if header := v.render(v.NowS); string(header) != v.Header {
		t.Fatalf("%s is not what the template makes: %s", v.Header, header)
	}
	provider := must[*Provider](t)(New(Options{SecretKey: "sk_test_of_these_vectors", WebhookSecrets: v.Secrets}))
	defer provider.Close()
	engine := must[*careforall.Engine](t)(careforall.OpenMemory(careforall.Options{Provider: provider}))
	defer engine.Close()
	verdict, err := engine.ReceiveWebhook(background, v.render(time.Now().Unix()), v.body())
	if v.Status == "CFA_OK" {
		if err != nil || verdict != careforall.WebhookIgnored || message != "" {
			t.Fatal(verdict, err)
		}
		return
	}
	var failure *careforall.Error
	if !errors.As(err, &failure) || failure.Status.Error() != v.Status || failure.Field != v.Field {
		t.Fatalf("want %s (%s), got %v", v.Status, v.Field, err)
	}
	if message != "" && failure.Message != message {
		t.Fatalf("want %q, got %q", message, failure.Message)
	}
}

func TestSignatureVectors(t *testing.T) {
	data := must[[]byte](t)(os.ReadFile(filepath.Join("..", "..", "..", "tests", "vectors", "signatures.json")))
	var file struct {
		Schema, About string
		ToleranceS    int64 `json:"tolerance_s"`
		Diagnoses     map[string]string
		Signatures    []signatureVector
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if file.Schema != "careforall.vectors.signatures.v1" || len(file.Signatures) == 0 {
		t.Fatal(file.Schema)
	}
	for i := range file.Signatures {
		vector := &file.Signatures[i]
		t.Run(vector.Name, func(t *testing.T) {
			message, known := file.Diagnoses[vector.Diagnosis]
			if !known {
				t.Fatal(vector.Diagnosis)
			}
			if vector.Exact != leftOut[vector.Name] {
				t.Fatal("the vectors that are left out are others")
			}
			vector.run(t, message)
		})
	}
}
