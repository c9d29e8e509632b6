// A client by golang.org/x/crypto/ssh; README.md says what it does and prints.
package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const channels = 20

func main() {
	port, login, method, secret, target, action := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]
	number, err := strconv.Atoi(os.Args[7])
	check(err)
	config := &ssh.ClientConfig{
		User:            login,
		Auth:            []ssh.AuthMethod{credential(method, secret)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	}
	client, err := ssh.Dial("tcp", "127.0.0.1:"+port, config)
	check(err)
	switch action {
	case "move":
		fmt.Println(exchange(client, target, number))
	case "many":
		fmt.Println(many(client, target, number))
	case "refused":
		_, err := client.Dial("tcp", target)
		fmt.Println(err)
	case "idle":
		idle(client, number)
		fmt.Println(exchange(client, target, 1000))
	case "close":
		connection := dial(client, target)
		_, err := connection.Write(make([]byte, number))
		check(err)
		check(connection.Close())
		fmt.Println("closed")
		time.Sleep(time.Second)
	case "hold":
		dial(client, target)
		fmt.Println("open")
		select {}
	}
	client.Close()
}

func credential(method, secret string) ssh.AuthMethod {
	if method == "token" {
		return ssh.Password(secret)
	}
	encoded, err := os.ReadFile(secret)
	check(err)
	key, err := ssh.ParsePrivateKey(encoded)
	check(err)
	return ssh.PublicKeys(key)
}

func dial(client *ssh.Client, target string) net.Conn {
	connection, err := client.Dial("tcp", target)
	check(err)
	return connection
}

// Sends bytes, half-closes, and expects them back to the end.
func exchange(client *ssh.Client, target string, size int) string {
	connection := dial(client, target)
	payload := make([]byte, size)
	rand.Read(payload)
	go func() {
		connection.Write(payload)
		connection.(interface{ CloseWrite() error }).CloseWrite()
	}()
	received, err := io.ReadAll(connection)
	connection.Close()
	if err != nil || !bytes.Equal(payload, received) {
		return fmt.Sprintf("%d of %d bytes, %v", len(received), size, err)
	}
	return "whole"
}

// Sends 1,000 bytes and awaits them back, many times.
func chat(client *ssh.Client, target string, rounds int) string {
	connection := dial(client, target)
	question, answer := make([]byte, 1000), make([]byte, 1000)
	for round := range rounds {
		rand.Read(question)
		connection.Write(question)
		if _, err := io.ReadFull(connection, answer); err != nil || !bytes.Equal(question, answer) {
			return fmt.Sprintf("round %d: %v", round, err)
		}
	}
	connection.(interface{ CloseWrite() error }).CloseWrite()
	if _, err := connection.Read(answer); err != io.EOF {
		return fmt.Sprint(err)
	}
	connection.Close()
	return "whole"
}

func many(client *ssh.Client, target string, rounds int) string {
	var group sync.WaitGroup
	results := make([]string, channels)
	for index := range results {
		group.Add(1)
		go func() {
			defer group.Done()
			results[index] = chat(client, target, rounds)
		}()
	}
	group.Wait()
	for _, result := range results {
		if result != "whole" {
			return result
		}
	}
	return "whole"
}

func idle(client *ssh.Client, milliseconds int) {
	end := time.Now().Add(time.Duration(milliseconds) * time.Millisecond)
	for time.Now().Before(end) {
		_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
		check(err)
		time.Sleep(100 * time.Millisecond)
	}
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
