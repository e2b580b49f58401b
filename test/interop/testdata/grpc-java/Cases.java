import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.util.Arrays;
import java.util.Locale;

/**
 * Runs cases of grpc-java's interoperability clients in one virtual machine, whose start costs more
 * than a case. A line of standard input is the simple name of a client and its arguments; the answer
 * is one line: "ok", or what the client threw, whose stack trace goes to standard error with all
 * that clients print. "list ENUM" is answered with the names that an enumeration has.
 */
public final class Cases {
  private static final String PACKAGE = "io.grpc.testing.integration.";

  public static void main(String[] args) throws Exception {
    PrintStream answers = System.out;
    System.setOut(System.err);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split(" ");
      String answer;
      if (words[0].equals("list")) {
        answer = list(words[1]);
      } else {
        answer = run(words[0], Arrays.copyOfRange(words, 1, words.length));
      }
      answers.println(answer);
      answers.flush();
    }
    System.exit(0); // threads of the last client must not keep it
  }

  private static String list(String enumName) throws Exception {
    StringBuilder names = new StringBuilder();
    for (Object c : Class.forName(PACKAGE + enumName).getEnumConstants()) {
      names.append(((Enum<?>) c).name().toLowerCase(Locale.ROOT)).append(' ');
    }
    return names.toString().trim();
  }

  private static String run(String client, String[] args) throws Exception {
    try {
      Class.forName(PACKAGE + client).getMethod("main", String[].class).invoke(null, (Object) args);
      return "ok";
    } catch (InvocationTargetException e) {
      e.getCause().printStackTrace();
      return e.getCause().toString().replace('\n', ' ');
    }
  }
}
